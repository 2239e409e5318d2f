package proxy

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// Commands, families and records of version 2.
const (
	commandLocal = 0x0
	commandProxy = 0x1

	familyNone = 0x0
	familyIPv4 = 0x1
	familyIPv6 = 0x2
	familyUnix = 0x3

	protocolNone   = 0x0
	protocolPacket = 0x2 // UDP; the greatest

	typeCRC32C     = 0x03
	typeTLS        = 0x20
	typeTLSVersion = 0x21
	typeTLSName    = 0x22 // Common Name

	clientTLS         = 0x01 // the client has used TLS
	clientCertificate = 0x02 | 0x04

	unixPathBytes = 108
)

// v2Size returns the size of a header of version 2 whose fixed part is there.
func v2Size(b []byte) int { return v2Fixed + int(binary.BigEndian.Uint16(b[v2Fixed-2:])) }

// parseV2 reads a header of version 2.
func parseV2(b []byte) (h Header, n int, err error) {
	if start := b[:min(len(b), len(v2Start))]; !strings.HasPrefix(v2Start, string(start)) {
		return h, 0, wrong("%s", foreign(b[0]))
	}
	if len(b) > len(v2Start) && b[len(v2Start)]>>4 != 2 {
		return h, 0, wrong("its version is %d, and there are 1 and 2", b[len(v2Start)]>>4)
	}
	if len(b) < v2Fixed {
		return h, 0, io.ErrUnexpectedEOF
	}
	size := v2Size(b)
	command, family, protocol := b[12]&0xF, b[13]>>4, b[13]&0xF
	switch {
	case size > maxV2Bytes:
		return h, 0, wrong("it promises %d bytes, and %d are taken", size, maxV2Bytes)
	case command > commandProxy || family > familyUnix || protocol > protocolPacket:
		return h, 0, wrong("its command, address family or protocol is not known")
	case len(b) < size:
		return h, 0, io.ErrUnexpectedEOF
	}
	h.Version = 2
	if command == commandLocal { // the rest is to be ignored
		return h, size, nil
	}
	rest := b[v2Fixed:size]
	records, err := h.addressesV2(rest, family, protocol)
	if err == nil {
		err = h.records(records, b[:size])
	}
	if err != nil {
		return Header{}, 0, err
	}
	return h, size, nil
}

// addressesV2 reads the addresses at the beginning of b, and returns the records behind them.
func (h *Header) addressesV2(b []byte, family, protocol byte) (records []byte, err error) {
	size := [...]int{familyNone: 0, familyIPv4: 4, familyIPv6: 16, familyUnix: unixPathBytes}[family]
	ports := 4
	if family == familyNone || family == familyUnix {
		ports = 0
	}
	if len(b) < 2*size+ports {
		return nil, wrong("its length is %d, which is too short for its addresses", len(b))
	}
	source, destination, records := b[:size], b[size:2*size], b[2*size+ports:]
	switch {
	case family == familyNone || protocol == protocolNone: // the connection's own hold
	case family == familyUnix:
		h.Source, h.Destination = unixAddr(source), unixAddr(destination)
	default:
		from, _ := netip.AddrFromSlice(source)
		to, _ := netip.AddrFromSlice(destination)
		h.Source = tcpAddr(from, binary.BigEndian.Uint16(b[2*size:]))
		h.Destination = tcpAddr(to, binary.BigEndian.Uint16(b[2*size+2:]))
	}
	return records, nil
}

// unixAddr returns the path up to its first zero byte.
func unixAddr(path []byte) net.Addr {
	path, _, _ = bytes.Cut(path, []byte{0})
	return &net.UnixAddr{Net: "unix", Name: string(path)}
}

// records reads the records (type, length, value) of the whole header.
func (h *Header) records(b, whole []byte) error {
	told := false
	return eachRecord(b, func(kind byte, value []byte) error {
		switch kind {
		case typeCRC32C:
			if !checksumRight(value, whole) {
				return wrong("its checksum is wrong")
			}
		case typeTLS:
			if told {
				return wrong("it has two records about TLS")
			}
			told = true
			return h.readTLS(value)
		}
		return nil
	})
}

// eachRecord calls each with the records in b.
func eachRecord(b []byte, each func(kind byte, value []byte) error) error {
	for len(b) > 0 {
		if len(b) < 3 || len(b)-3 < int(binary.BigEndian.Uint16(b[1:])) {
			return wrong("one of its records is longer than the header")
		}
		end := 3 + int(binary.BigEndian.Uint16(b[1:]))
		if err := each(b[0], b[3:end]); err != nil {
			return err
		}
		b = b[end:]
	}
	return nil
}

// checksumRight reports whether sum, which lies inside whole, is the CRC-32C of whole with
// zeroes in its own place.
func checksumRight(sum, whole []byte) bool {
	if len(sum) != 4 {
		return false
	}
	at := cap(whole) - cap(sum)
	table := crc32.MakeTable(crc32.Castagnoli)
	crc := crc32.Update(0, table, whole[:at])
	crc = crc32.Update(crc, table, make([]byte, 4))
	return crc32.Update(crc, table, whole[at+4:]) == binary.BigEndian.Uint32(sum)
}

// readTLS reads the record about TLS: flags, the result of the verification, and records.
func (h *Header) readTLS(b []byte) error {
	if len(b) < 5 {
		return wrong("its record about TLS is too short")
	}
	if b[0]&clientTLS == 0 {
		return nil
	}
	t := &TLS{Certificate: b[0]&clientCertificate != 0}
	t.Verified = t.Certificate && binary.BigEndian.Uint32(b[1:]) == 0
	h.TLS = t
	named := false
	return eachRecord(b[5:], func(kind byte, value []byte) error {
		if kind == typeTLSName && named {
			return wrong("it tells two Common Names of the client's certificate")
		}
		named = named || kind == typeTLSName
		switch {
		case !utf8.Valid(value): // names in other encodings are no names to us
		case kind == typeTLSVersion:
			t.Version = string(value)
		case kind == typeTLSName && t.Verified:
			t.CommonName = string(value)
		}
		return nil
	})
}
