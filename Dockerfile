# Both bases bring Node 26 and its libraries (libatomic too); the second needs nothing else, not even
# a shell. Run it with --stop-timeout 30: the default of 10 s is shorter than the drain's 20 s.
ARG BUILD_IMAGE=docker.io/library/node:26-trixie-slim
ARG RUN_IMAGE=docker.io/library/node:26-trixie-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY . .
# What /metrics says it was built from.
ARG COMMIT=
RUN COMMIT=$COMMIT npm run build

FROM ${RUN_IMAGE}
COPY --from=build /src/dist/greeter.mjs /src/dist/greeter.mjs.LEGAL.txt /app/
# Without TZ a minimal image opens the whole zoneinfo tree at start. Node's default heap limit is
# above what a small pod has; its nursery would take another 100 MB of it when it is busy, and so
# would what glibc keeps of buffers that are gone, in an arena for each thread.
ENV TZ=UTC MALLOC_ARENA_MAX=1
ENV NODE_OPTIONS="--max-old-space-size-percentage=60 --max-semi-space-size=4"
USER 65532:65532
EXPOSE 50051 9999 50052 9464
ENTRYPOINT ["node", "/app/greeter.mjs"]
