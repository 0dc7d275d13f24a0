# SPDX-License-Identifier: Apache-2.0
"""A small client of the management service's REST API, on the standard library alone.

The entry script uses it, and the integration tests do where they want an answer as it came over the wire.
"""

import json
import time
import urllib.error
import urllib.parse
import urllib.request

JOB_DONE_STATES = {7: "completed", 8: "terminated", 9: "killed", 10: "exception", 11: "service"}
JOB_COMPLETED = 7


class ApiError(Exception):
    """The service answered with a problem document."""

    def __init__(self, status, problem, what):
        self.status = status
        self.problem = problem
        detail = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else problem
        super().__init__(f"{what}: HTTP {status}: {detail}")


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body) if self.body else None


class Api:
    def __init__(self, base, token):
        self.base = base.rstrip("/")
        self.token = token

    def request(self, method, path, body=None, timeout=60, token=None):
        """One request; any HTTP status is an answer, only a broken connection is an exception (OSError)."""
        url = path if path.startswith("http") else self._url(path)
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token if token is None else token}", "Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def _url(self, path):
        # Links in answers are rooted at the server, paths in this program at the API's base.
        if path.startswith(("/api/", "/cimrs/")):
            root = urllib.parse.urlsplit(self.base)
            return f"{root.scheme}://{root.netloc}{path}"
        return f"{self.base}/{path.lstrip('/')}"

    def call(self, method, path, body=None, timeout=60):
        """As request(), but an error status is an ApiError."""
        answer = self.request(method, path, body, timeout)
        if answer.status >= 400:
            try:
                problem = answer.json()
            except ValueError:
                problem = answer.body.decode(errors="replace")
            raise ApiError(answer.status, problem, f"{method} {path}")
        return answer

    def get(self, path, timeout=60):
        return self.call("GET", path, timeout=timeout).json()

    def alive(self):
        try:
            return self.request("GET", "classes", timeout=5).status == 200
        except (OSError, ValueError):
            return False

    def wait_alive(self, timeout, still_possible):
        """Waits until the API answers; still_possible() turning false ends the wait early. True when it answers."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.alive():
                return True
            if not still_possible():
                return False
            time.sleep(0.3)
        return False
