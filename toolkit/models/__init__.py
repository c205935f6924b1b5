"""Those who answer requests: hosted models over HTTP, models in this process, recorded answers, functions, people."""
