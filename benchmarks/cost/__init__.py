"""What a study costs beside its trainings: seconds, CPU, memory, bytes."""
