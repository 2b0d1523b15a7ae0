# syntax=docker/dockerfile:1
# Two images: `--target extension` is Postgres 15 with Nebula in it, `--target edge` the REST edge and the command line.
# Not built where it was written (docs/operations.md, "Containers").

FROM rust:1.95-bookworm AS builder
# The toolchain of the image, without the components that rust-toolchain.toml asks for: nothing is downloaded for them.
ENV RUSTUP_TOOLCHAIN=1.95.0 \
    PGRX_PG_CONFIG_PATH=/usr/lib/postgresql/15/bin/pg_config
RUN apt-get update \
    && apt-get install -y --no-install-recommends libclang-dev postgresql-15 postgresql-server-dev-15 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# Named one by one, so that neither .nebula (keys, passwords) nor target gets into a layer.
COPY Cargo.toml Cargo.lock Makefile rust-toolchain.toml ./
COPY extension extension
COPY edge edge
COPY tests tests
COPY sql sql
RUN cargo build --release --locked -p nebula -p nebula-edge
RUN make script \
    && mkdir /out \
    && cp target/release/libnebula.so /out/nebula.so \
    && cp target/release/nebula target/release/nebula--*.sql extension/nebula.control /out/

FROM postgres:15-bookworm AS extension
COPY --from=builder --chmod=755 /out/nebula.so /usr/lib/postgresql/15/lib/
COPY --from=builder --chmod=644 /out/nebula.control /out/nebula--*.sql /usr/share/postgresql/15/extension/

FROM debian:bookworm-slim AS edge
# Roots for the addresses of other issuers' keys.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin nebula \
    && install -d -o nebula -g nebula -m 700 /var/lib/nebula/keys
COPY --from=builder --chmod=755 /out/nebula /usr/local/bin/nebula
USER nebula
WORKDIR /
ENV NEBULA_LISTEN=0.0.0.0:8080 \
    NEBULA_KEYS_DIR=/var/lib/nebula/keys
EXPOSE 8080
VOLUME ["/var/lib/nebula/keys"]
# By bash alone, so that the image needs no HTTP client.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /health HTTP/1.1\\r\\nhost: localhost\\r\\nconnection: close\\r\\n\\r\\n' >&3 && read -r line <&3 && [[ $line == *' 200 '* ]]"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["nebula"]
CMD ["serve"]
