vcl 4.1;

import std;

# Varnish (7.1 or newer) in front of freshql.
#
#   varnishd -a :80 -f /etc/varnish/freshql.vcl -s malloc,1g -p http_gzip_support=off
#
# `http_gzip_support=off` lets Varnish store an answer in each content coding that freshql offers (zstd, br, gzip). Otherwise
# Varnish requests only gzip, and decompresses it for clients that do not accept it: one copy, which is also correct.
#
# Everybody gets the same copy, with or without `Authorization` and cookies: freshql marks only those answers `public` that
# depend on neither. All others are `private` and never stored. Do not route other back ends' URLs to /q/.
#
# Everything else is left to Varnish's built-in VCL.

backend default {
    .host = "127.0.0.1";
    .port = "8080";
}

sub vcl_recv {
    # Several header lines mean the same as one.
    std.collect(req.http.If-None-Match);
    std.collect(req.http.Accept-Encoding);

    # Answers of /graphql have two media types, and `Vary: Accept` would store a copy for every spelling of that header. One
    # spelling for each type is enough.
    if (req.url ~ "^/graphql(\?|$)" && (req.method == "GET" || req.method == "HEAD")) {
        std.collect(req.http.Accept);
        if (req.http.Accept ~ "(?i)application/graphql-response\+json(?!\s*;\s*q=0(\.0*)?\s*(,|$))") {
            set req.http.Accept = "application/graphql-response+json, application/json;q=0.9";
        } else {
            set req.http.Accept = "application/json";
        }
    }

    # `Vary: Accept-Encoding` would store a copy for every spelling of that header, and clients spell it in many ways. This
    # leaves four spellings, in freshql's order of preference.
    if (req.http.Accept-Encoding ~ "(?i)(^|[\s,])zstd(?!\s*;\s*q=0(\.0*)?\s*(,|$))\s*(,|;|$)") {
        set req.http.Accept-Encoding = "zstd";
    } else if (req.http.Accept-Encoding ~ "(?i)(^|[\s,])br(?!\s*;\s*q=0(\.0*)?\s*(,|$))\s*(,|;|$)") {
        set req.http.Accept-Encoding = "br";
    } else if (req.http.Accept-Encoding ~ "(?i)(^|[\s,])gzip(?!\s*;\s*q=0(\.0*)?\s*(,|$))\s*(,|;|$)") {
        set req.http.Accept-Encoding = "gzip";
    } else {
        unset req.http.Accept-Encoding;
    }

    # The built-in VCL would pass every request with a token or a cookie.
    if (req.url ~ "^/q/" && (req.method == "GET" || req.method == "HEAD")) {
        return (hash);
    }
}

sub vcl_backend_response {
    # Nothing older than `s-maxage` is served, unless the model allows it with `staleWhileRevalidate`, which freshql reports
    # to CDNs in a header that Varnish does not know.
    set beresp.grace = 0s;
    if (beresp.http.CDN-Cache-Control ~ "stale-while-revalidate=[0-9]+") {
        set beresp.grace = std.duration(
            regsub(beresp.http.CDN-Cache-Control, "^.*stale-while-revalidate=([0-9]+).*$", "\1s"), 0s);
    }

    # Expired objects are kept, so that Varnish asks freshql with `If-None-Match`, and a 304 makes them fresh again.
    set beresp.keep = 1d;

    # An answer that must be validated each time (`s-maxage=0`) or depends on the viewer (`private`) is not worth waiting for
    # here: the next requests go straight to freshql, with the `If-None-Match` and the token of their clients.
    if (beresp.http.ETag && (beresp.ttl <= 0s || beresp.http.Cache-Control ~ "(?i)private|no-cache")) {
        return (pass(120s));
    }

    # Anything that is not marked public is not stored. Errors and mutations are `no-store`, which the built-in VCL obeys.
    if (beresp.http.Cache-Control !~ "(?i)public") {
        set beresp.uncacheable = true;
        set beresp.ttl = 120s;
        return (deliver);
    }
}

sub vcl_deliver {
    # Varnish compares If-None-Match with a single tag. Lists, `*`, and the tag of the same answer in another coding should
    # match, too: a freshql ETag consists of 22 characters that identify the answer, and a suffix for the coding.
    if (req.http.If-None-Match && resp.status == 200) {
        if (req.http.If-None-Match ~ "^\s*\*\s*$" ||
            resp.http.ETag + " " + req.http.If-None-Match
                ~ {"^(?:W/)?"([\w-]{22}(?:\.gql)?)(?:\.(?:zst|br|gz))?" .*"\1(?:\.(?:zst|br|gz))?""}) {
            set req.http.If-None-Match = resp.http.ETag;
        }
    }
}
