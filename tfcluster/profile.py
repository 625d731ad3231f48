"""stub"""
class ClusterProfile:
    @classmethod
    def from_sums(cls,*a,**k): return cls()
