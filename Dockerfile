# The image of hermes-router, for linux/amd64 and linux/arm64:
#   docker build -t hermes-router:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 -t IMAGE .
# What it holds says scripts/image/files.ts, and so it does for the image that is made without an engine (oci.ts).

# The same Node as package-lock.json pins; it is used for building only, the image's own comes from there.
FROM node:26.10.0-bookworm-slim AS build
# Node is linked with it, and the image takes what it is linked with.
RUN apt-get update && apt-get install -y --no-install-recommends libatomic1 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# Packages bring their binaries; nothing of theirs is run.
RUN npm ci --omit=dev --ignore-scripts
COPY LICENSE ./
COPY src ./src
COPY scripts ./scripts
RUN node scripts/image/stage.ts /image

# No shell, no package manager.
FROM scratch
COPY --from=build /image/ /
USER 65532:65532
WORKDIR /app
ENV PATH=/usr/local/bin NODE_ENV=production MALLOC_ARENA_MAX=1
ENTRYPOINT ["/usr/local/bin/node", "/app/dist/launch.js"]
