package proxy

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// parseV1 reads a line such as "PROXY TCP4 192.0.2.1 192.0.2.2 40000 1883\r\n".
func parseV1(b []byte) (h Header, n int, err error) {
	if start := b[:min(len(b), len(v1Start))]; !strings.HasPrefix(v1Start, string(start)) {
		return h, 0, wrong("%s", foreign(b[0]))
	}
	line := b[:min(len(b), maxV1Bytes)]
	end := bytes.IndexAny(line, "\r\n")
	switch {
	case end < 0 && len(line) == maxV1Bytes, end == maxV1Bytes-1:
		return h, 0, wrong("the line is longer than the %d bytes that it may have", maxV1Bytes)
	case end < 0, end == len(line)-1 && line[end] == '\r':
		return h, 0, io.ErrUnexpectedEOF
	case line[end] != '\r' || line[end+1] != '\n':
		return h, 0, wrong("the line does not end in CR LF")
	}
	h.Version = 1
	fields := strings.Split(string(line[len(v1Start):end]), " ")
	if fields[0] == "UNKNOWN" { // what follows is to be ignored
		return h, end + 2, nil
	}
	if len(fields) != 5 || fields[0] != "TCP4" && fields[0] != "TCP6" {
		return h, 0, wrong("the line is not 'PROXY TCP4 source destination port port', TCP6 in its place, or 'PROXY UNKNOWN'")
	}
	four := fields[0] == "TCP4"
	source, ok := addressV1(fields[1], fields[3], four)
	destination, ok2 := addressV1(fields[2], fields[4], four)
	if !ok || !ok2 {
		return h, 0, wrong("an address or a port is not one of %s", fields[0])
	}
	h.Source, h.Destination = source, destination
	return h, end + 2, nil
}

// addressV1 reads an address and a port, which is written without leading zeroes.
func addressV1(host, port string, four bool) (net.Addr, bool) {
	address, err := netip.ParseAddr(host)
	number, wrong := strconv.ParseUint(port, 10, 16)
	if err != nil || wrong != nil || address.Is4() != four || address.Zone() != "" || strconv.FormatUint(number, 10) != port {
		return nil, false
	}
	return tcpAddr(address, uint16(number)), true
}

// tcpAddr returns an address as package net does, so that an IPv4 address looks like one however
// it was written.
func tcpAddr(address netip.Addr, port uint16) net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(address.Unmap(), port))
}
