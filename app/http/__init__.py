"""The only package that knows HTTP, FastAPI and uvicorn."""
