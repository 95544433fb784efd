vcl 4.1;

import std;

# Varnish (7.1 or newer) in front of freshql.
#
#   varnishd -a :80 -f /etc/varnish/freshql.vcl -s malloc,1g -p http_gzip_support=off
#
# `http_gzip_support=off` lets Varnish keep an answer in each coding that freshql makes (zstd, br, gzip). Without it Varnish
# asks for gzip only, and unpacks it for clients that do not take it: one copy, also correct.
#
# Everybody gets the same copy, with or without `Authorization` and cookies: freshql says `public` only of answers that depend
# on neither. All others are `private`, and never kept. Keep other back ends out of /q/.
#
# What is not said here, Varnish's built-in VCL decides.

backend default {
    .host = "127.0.0.1";
    .port = "8080";
}

sub vcl_recv {
    # Several lines mean the same as one.
    std.collect(req.http.If-None-Match);
    std.collect(req.http.Accept-Encoding);

    # What /graphql answers has two media types, and `Vary: Accept` keeps a copy for every spelling of that header. One for
    # each is enough.
    if (req.url ~ "^/graphql(\?|$)" && (req.method == "GET" || req.method == "HEAD")) {
        std.collect(req.http.Accept);
        if (req.http.Accept ~ "(?i)application/graphql-response\+json(?!\s*;\s*q=0(\.0*)?\s*(,|$))") {
            set req.http.Accept = "application/graphql-response+json, application/json;q=0.9";
        } else {
            set req.http.Accept = "application/json";
        }
    }

    # `Vary: Accept-Encoding` keeps a copy for every spelling of that header, and clients spell it in many ways. Four
    # spellings are left, in the order in which freshql prefers the codings.
    if (req.http.Accept-Encoding ~ "(?i)(^|[\s,])zstd(?!\s*;\s*q=0(\.0*)?\s*(,|$))\s*(,|;|$)") {
        set req.http.Accept-Encoding = "zstd";
    } else if (req.http.Accept-Encoding ~ "(?i)(^|[\s,])br(?!\s*;\s*q=0(\.0*)?\s*(,|$))\s*(,|;|$)") {
        set req.http.Accept-Encoding = "br";
    } else if (req.http.Accept-Encoding ~ "(?i)(^|[\s,])gzip(?!\s*;\s*q=0(\.0*)?\s*(,|$))\s*(,|;|$)") {
        set req.http.Accept-Encoding = "gzip";
    } else {
        unset req.http.Accept-Encoding;
    }

    # The built-in VCL would pass whatever has a token or a cookie.
    if (req.url ~ "^/q/" && (req.method == "GET" || req.method == "HEAD")) {
        return (hash);
    }
}

sub vcl_backend_response {
    # Nothing is served when it is older than `s-maxage`, unless the model allows it with `staleWhileRevalidate`, which
    # freshql tells CDNs in a header that Varnish does not know.
    set beresp.grace = 0s;
    if (beresp.http.CDN-Cache-Control ~ "stale-while-revalidate=[0-9]+") {
        set beresp.grace = std.duration(
            regsub(beresp.http.CDN-Cache-Control, "^.*stale-while-revalidate=([0-9]+).*$", "\1s"), 0s);
    }

    # What is too old to be served stays, so that freshql is asked with `If-None-Match`, and a 304 makes it fresh again.
    set beresp.keep = 1d;

    # An answer that must be validated each time (`s-maxage=0`), or that depends on who asks (`private`), has nothing to wait
    # for here: the next requests go to freshql as they are, with the `If-None-Match` and the token of their clients.
    if (beresp.http.ETag && (beresp.ttl <= 0s || beresp.http.Cache-Control ~ "(?i)private|no-cache")) {
        return (pass(120s));
    }

    # Whatever else is not said to be public is not kept. Errors and mutations are `no-store`, which the built-in VCL obeys.
    if (beresp.http.Cache-Control !~ "(?i)public") {
        set beresp.uncacheable = true;
        set beresp.ttl = 120s;
        return (deliver);
    }
}

sub vcl_deliver {
    # Varnish compares If-None-Match with one tag only. Lists, `*`, and the tag of the same answer in another coding are
    # the same question: an ETag of freshql is 22 characters that name the answer, and a suffix that names the form.
    if (req.http.If-None-Match && resp.status == 200) {
        if (req.http.If-None-Match ~ "^\s*\*\s*$" ||
            resp.http.ETag + " " + req.http.If-None-Match
                ~ {"^(?:W/)?"([\w-]{22}(?:\.gql)?)(?:\.(?:zst|br|gz))?" .*"\1(?:\.(?:zst|br|gz))?""}) {
            set req.http.If-None-Match = resp.http.ETag;
        }
    }
}
