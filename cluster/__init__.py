"""The service and its scoring on a cluster of Ray; needs the extra `ray`.

Ray distributes, restarts and scales. What is distributed is in `app`, which never imports Ray.
"""
