"""Runs REDbot, with httplint inside it, over requests, and tells what it notes.

Standard input: {"base": "http://…", "requests": [{"name", "method", "path", "headers": [[name, value], …], "body"}, …]}
Standard output: {"name": {"status": 200, "notes": [[level, note, summary], …]}, …}; `active:` stands before what REDbot found by
asking again in other ways, as it does for a GET without conditions.
"""

import json
import sys
from configparser import ConfigParser

import thor
from httplint.note import levels
from redbot.resource import HttpResource


def main():
    asked = json.load(sys.stdin)
    config = ConfigParser()
    config.read_dict({"redbot": {"enable_local_access": "True"}})
    resources = {}
    waiting = set()

    def start(request):
        headers = [tuple(line) for line in request["headers"]]
        name, is_plain = request["name"], request["method"] == "GET" and not request["headers"]
        resource = HttpResource(config["redbot"], active_checks_enabled=is_plain)
        resource.set_request(
            asked["base"] + request["path"], method=request["method"], headers=headers, content=request["body"].encode()
        )
        # Or the linter takes the answer to a preflight for something else.
        resource.response.request = resource.request
        resources[name] = resource
        waiting.add(name)

        @thor.events.on(resource)
        def check_done():
            waiting.discard(name)
            if not waiting:
                thor.stop()

        resource.check()

    for request in asked["requests"]:
        start(request)
    thor.schedule(60, thor.stop)
    thor.run()
    json.dump({name: told(name, resource, waiting) for name, resource in resources.items()}, sys.stdout)


def told(name, resource, waiting):
    problems = [["BAD", "NOT_ANSWERED", str(resource.fetch_error)]] if name in waiting or resource.fetch_error else []
    problems += notes(resource, "")
    for check in resource.subreqs.values():
        problems += notes(check, "active: ")
    return {"status": resource.response.status_code, "notes": problems}


def notes(fetcher, before):
    found = list(fetcher.request.notes) + list(fetcher.response.notes)
    found += [note for outer in found for note in outer.subnotes]
    # What it advises about its own request is not about us.
    return [
        [note.level.name, before + type(note).__name__, note.summary]
        for note in found
        if note.level in (levels.BAD, levels.WARN)
    ]


main()
