vcl 4.1;

import directors;

# Two nodes behind the configuration of ../varnish.vcl. A node that cannot answer is skipped until it can: /readyz also
# reports whether its database is available.

probe ready {
    .url = "/readyz";
    .interval = 2s;
    .timeout = 1s;
    .window = 3;
    .threshold = 2;
    .initial = 1;
}

backend node_a {
    .host = "node-a";
    .port = "8080";
    .probe = ready;
}

backend node_b {
    .host = "node-b";
    .port = "8080";
    .probe = ready;
}

sub vcl_init {
    new nodes = directors.round_robin();
    nodes.add_backend(node_a);
    nodes.add_backend(node_b);
}

sub vcl_recv {
    set req.backend_hint = nodes.backend();
}

# That configuration's own back end is not used.
include "/etc/varnish/freshql.vcl";
