# BuildKit and the classic builder can build this file.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY supervisor supervisor
COPY workers workers
ARG VERSION=dev
# supervisor and supervisorctl have a custom entry point: docs/decisions/0009-custom-entry-point.md.
RUN CGO_ENABLED=0 GOFLAGS=-buildvcs=false go build -trimpath -ldflags="-s -w -X main.version=$VERSION" \
    -ldflags="tp0/supervisor/...=-s -w -X main.version=$VERSION -E=tp0/supervisor/entrypoint.entry" \
    -o /out/bin/ ./supervisor ./supervisor/supervisorctl ./workers/server ./workers/client

FROM scratch
COPY --from=build /out/bin /bin
COPY supervisor.hcl /supervisor.hcl
COPY LICENSE NOTICE /usr/share/doc/supervisor/
ENV PATH=/bin
USER 65532:65532
WORKDIR /
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/bin/supervisor", "health", "--ready"]
ENTRYPOINT ["/bin/supervisor"]
CMD ["run"]
