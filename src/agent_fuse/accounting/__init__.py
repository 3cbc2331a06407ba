"""What is inside the fuse: accounting, tool actions, alerts, and the guards of its own threads."""
