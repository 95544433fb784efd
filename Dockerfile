# The server without a project. Mount yours (schema.graphql, queries/, migrations/, freshql.toml) at /project and a directory
# for the database at /data:
#   docker run -p 8080:8080 -v "$PWD:/project:ro" -v freshql:/data freshql
FROM rust:1.94-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --no-create-home freshql && install -d -o freshql /data /project
COPY --from=build /src/target/release/freshql /usr/local/bin/freshql
# Root certificates: for PostgreSQL with sslmode=verify-full, for an issuer's keys, for `freshql push`. The slim image has none.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER freshql
VOLUME /data
ENV FRESHQL_DIR=/project FRESHQL_DATABASE=sqlite:/data/freshql.db FRESHQL_LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["freshql", "health"]
ENTRYPOINT ["freshql"]
CMD ["serve"]
