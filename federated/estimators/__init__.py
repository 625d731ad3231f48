"""The front door: federated training as scikit-learn estimators."""
