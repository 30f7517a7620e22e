"""Measures a checkpoint on a data set: answers case by case, then scores with intervals by patient."""
