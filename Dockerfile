# syntax=docker/dockerfile:1.7
# Images of Nebula. What each is for, how to pin them by digest, and what was and wasn't run: docs/operations/deploy.md, "Containers".
#
#   docker build --target edge     -t nebula-edge .        REST edge, worker and command line, on distroless, without a shell
#   docker build --target postgres -t nebula-postgres .    the official Postgres with the extension in it
#   docker build --target supabase -t nebula-supabase .    the same for supabase/postgres
#   docker build --target files --output dist .            the extension's files alone, for an image of yours
#
# PG_MAJOR is 15, 16, 17 or 18; images of Supabase are 15 or 17. Each image can be given with its digest: --build-arg RUST_IMAGE=rust:1.95.0-bookworm@sha256:…
ARG PG_MAJOR=17
ARG RUST_IMAGE=rust:1.95.0-bookworm
# Where the extension is compiled: Debian 12, whose libc every target has or exceeds, with Postgres' own packages of that version.
ARG BUILD_IMAGE=postgres:${PG_MAJOR}-bookworm
ARG POSTGRES_IMAGE=postgres:${PG_MAJOR}-bookworm
ARG SUPABASE_IMAGE=supabase/postgres:17.6.1.136
ARG EDGE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# The toolchain of the image as it is: rust-toolchain.toml asks for components that only development needs.
FROM ${RUST_IMAGE} AS rust
ENV RUSTUP_TOOLCHAIN=1.95.0
# Writes the list of crates into each binary, where scanners find it without the sources.
RUN cargo install --locked --version 0.7.7 cargo-auditable

FROM rust AS edge-build
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,id=edge-target,sharing=locked \
    cargo auditable build --release --locked -p nebula-edge \
    && install -D -m 755 target/release/nebula /out/nebula \
    && strip --strip-debug /out/nebula \
    && mkdir -p /home/nebula/keys /home/nebula/storage

FROM ${BUILD_IMAGE} AS extension-build
ARG PG_MAJOR
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# The servers' packages are as new as the image's own source of packages has them: it has one version at a time.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential ca-certificates libclang-dev "postgresql-server-dev-${PG_MAJOR}" \
    && rm -rf /var/lib/apt/lists/*
COPY --from=rust /usr/local/rustup /usr/local/rustup
COPY --from=rust /usr/local/cargo /usr/local/cargo
ENV PATH=/usr/local/cargo/bin:${PATH} \
    CARGO_HOME=/usr/local/cargo \
    RUSTUP_HOME=/usr/local/rustup \
    RUSTUP_TOOLCHAIN=1.95.0 \
    PGRX_PG_CONFIG_PATH=/usr/lib/postgresql/${PG_MAJOR}/bin/pg_config
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,id=extension-target-${PG_MAJOR},sharing=locked \
    cargo auditable build --release --locked -p nebula --no-default-features --features "pg${PG_MAJOR}" \
    && make script \
    && mkdir /out \
    && cp target/release/libnebula.so /out/nebula.so \
    && strip --strip-debug /out/nebula.so \
    && cp target/release/nebula--*.sql extension/nebula.control packaging/container/install.sh /out/

FROM scratch AS files
COPY --from=extension-build /out /

# hadolint ignore=DL3006
FROM ${POSTGRES_IMAGE} AS postgres
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="nebula-postgres" \
      org.opencontainers.image.description="PostgreSQL with the extension nebula" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# As root the entry point gives the data to the user postgres, and then becomes that user.
RUN --mount=type=bind,from=files,target=/mnt/nebula sh /mnt/nebula/install.sh /mnt/nebula

# hadolint ignore=DL3006
FROM ${SUPABASE_IMAGE} AS supabase
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="nebula-supabase" \
      org.opencontainers.image.description="Supabase's PostgreSQL with the extension nebula" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# As in the image that it is made of: its entry point begins as root.
# hadolint ignore=DL3002
USER 0
RUN --mount=type=bind,from=files,target=/mnt/nebula sh /mnt/nebula/install.sh /mnt/nebula

# Last, so that it is what `docker build .` makes.
# hadolint ignore=DL3006
FROM ${EDGE_IMAGE} AS edge
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="nebula-edge" \
      org.opencontainers.image.description="REST edge, worker and command line of Nebula" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=edge-build /out/nebula /usr/local/bin/nebula
# The folder, for whoever mounts a volume there: it takes over owner and mode.
COPY --from=edge-build --chown=65532:65532 --chmod=700 /home/nebula /var/lib/nebula
USER 65532:65532
WORKDIR /var/lib/nebula
ENV NEBULA_LISTEN=0.0.0.0:8080 \
    NEBULA_KEYS_DIR=/var/lib/nebula/keys
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/usr/local/bin/nebula", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/nebula"]
CMD ["serve"]
