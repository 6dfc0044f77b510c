"""What a user does with a study, each as the steps one would name: search, resume, confirm, retrain, demo."""
