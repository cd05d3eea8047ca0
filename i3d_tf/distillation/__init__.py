"""Knowledge distillation: a student learns from a teacher that sees other inputs."""
