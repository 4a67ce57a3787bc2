# docker build -t ntp-server:V0.1 .
# docker build --platform linux/arm64 …              cross-compiled, with BuildKit
# DOCKER_BUILDKIT=0 docker build --build-arg TARGETARCH=arm64 …   the same without it
#
# Works with BuildKit and with the older builder, hence no "# syntax" line and the default in FROM.

# Debian 13, or 12 (debian:bookworm-slim), whose nettle lacks AES-128-GCM-SIV for NTS. The final image holds no part
# of it but the libraries that the program needs.
ARG BASE=debian:trixie-slim
# Equal to the file VERSION. Overriding it changes the program and the label together.
ARG VERSION=V0.1

FROM --platform=${BUILDPLATFORM:-linux/amd64} ${BASE} AS build
WORKDIR /source
COPY packaging/image/ packaging/image/
RUN packaging/image/toolchain.sh native
ARG TARGETARCH
RUN packaging/image/toolchain.sh cross
COPY . .
ARG VERSION
RUN packaging/image/build.sh /image

FROM scratch
ARG VERSION
ARG REVISION=
LABEL org.opencontainers.image.title="ntp-server" \
      org.opencontainers.image.description="NTP server: answers on UDP 123 and says how far its clock can be trusted" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/ /
# A named volume that is mounted here takes over this owner.
COPY --from=build --chown=65532:65532 /state/ /var/lib/ntp-server/
# In a container "loopback" is the container; who can reach 9559 is decided by publishing the port.
ENV NTP_SERVER_HTTP_LISTEN=0.0.0.0:9559 NTP_SERVER_CLOCK_STATE_DIRECTORY=/var/lib/ntp-server
USER 65532:65532
EXPOSE 123/udp 4460/tcp 9559/tcp
STOPSIGNAL SIGTERM
# The time-out is far above what the probe needs: a probe process on a busy node starts late.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 CMD ["/ntp-server", "healthcheck"]
ENTRYPOINT ["/ntp-server"]
CMD ["run"]
