"""Checkpoints shared through the Hugging Face Hub: push, pull, metadata, `from_pretrained`, the zoo page."""
