# Leadline in a small image, as an ordinary user. The database is elsewhere: set DATABASE_URL.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=development
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/leadline .

FROM debian:bookworm-slim
# Certificates for CRMs, time zones for working hours, curl for the health check.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/leadline --create-home --shell /usr/sbin/nologin leadline
COPY --from=build /out/leadline /usr/local/bin/leadline
USER leadline
# The generated secret lives here unless LEADLINE_SECRET is set: keep the volume.
VOLUME /var/lib/leadline
ENV LEADLINE_ADDR=0.0.0.0:8080 LEADLINE_DATA_DIR=/var/lib/leadline
EXPOSE 8080 443/tcp 443/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD curl -fsS http://127.0.0.1:8080/readyz
ENTRYPOINT ["leadline"]
CMD ["serve"]
