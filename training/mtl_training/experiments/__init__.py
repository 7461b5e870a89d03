"""Whole experiments: methods by seeds in resumable stages, and which task helps which."""
