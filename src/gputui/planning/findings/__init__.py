"""What is worth saying about the services, the GPUs and a draft; one kind of question a file."""
