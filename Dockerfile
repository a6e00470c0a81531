# Two images of the same program, with nothing else in them, not even a shell:
# - bundle, the default: Node, the libraries it needs, and the bundle
# - exe: the executable and the libraries it needs
# Run either with --stop-timeout 30: the default of 10 s is shorter than the drain's 20 s.

# Brings npm, binutils and the libraries. The Node that is shipped is that of package-lock.json.
ARG BUILD_IMAGE=docker.io/library/node:26.10.0-trixie

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY . .

FROM build AS exe_files
# The commit that --version and /metrics report.
ARG COMMIT=
RUN COMMIT=$COMMIT node build.mjs && node release/build_exe.ts
RUN image/root /root_of_image dist/greeter dist/greeter.LEGAL.txt

FROM build AS bundle_files
ARG COMMIT=
# The official binary without its symbols, which are a fifth of it.
RUN COMMIT=$COMMIT node build.mjs && strip --strip-all -o node node_modules/.bin/node
RUN image/root /root_of_image node dist/greeter.mjs dist/greeter.mjs.LEGAL.txt

# The configuration that both images share, without files.
FROM scratch AS common
# Without TZ, a minimal image reads the whole zoneinfo tree at the start. One malloc arena instead of
# one for each thread, and mmap for buffers above 1 MiB, return freed memory to the system.
ENV TZ=UTC MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=1048576
USER 65532:65532
EXPOSE 50051 9999 50052 9464
ARG COMMIT=
LABEL org.opencontainers.image.title="greeter" \
  org.opencontainers.image.description="A gRPC test server, and a template for production services" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="0.1.0" \
  org.opencontainers.image.revision="${COMMIT}"

FROM common AS exe
COPY --from=exe_files /root_of_image /
ENTRYPOINT ["/usr/bin/greeter"]

FROM common AS on_node
# Node's default heap limit is above the memory of a small pod, and its young generation would grow
# by another 100 MB under load. SIGUSR1 never opens a debugger port.
ENV NODE_OPTIONS="--max-old-space-size-percentage=60 --max-semi-space-size=4 --disable-sigusr1"
ENV NODE_COMPILE_CACHE=/app/cache

# Node uses only cached code that the same user has compiled, at the same path and with the same
# flags. This run also shows that no library is missing.
FROM on_node AS cache
COPY --from=bundle_files --chown=65532:65532 /root_of_image /
RUN ["/usr/bin/node", "/app/greeter.mjs", "--version"]

FROM on_node AS bundle
COPY --from=bundle_files /root_of_image /
# Readable by any user, writable by none: Node creates it for its owner only.
COPY --from=cache --chown=0:0 --chmod=555 /app/cache /app/cache
# The root may be read-only, and code that is compiled later is not worth caching.
ENV NODE_COMPILE_CACHE_READONLY=1
ENTRYPOINT ["/usr/bin/node", "/app/greeter.mjs"]
