package packet_test

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// A stream arrives in pieces: decode until what is left is incomplete.
func ExampleDecoder() {
	stream, _ := packet.Append(nil, &packet.Publish{Topic: "garden/gate", Payload: []byte("open")}, colibri.V5)
	stream, _ = packet.Append(stream, &packet.Pingreq{}, colibri.V5)
	stream = append(stream, 0x30) // the first byte of another PUBLISH

	var d packet.Decoder
	for {
		p, n, err := d.Decode(stream, colibri.V5)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			fmt.Println("wait for more behind", len(stream), "byte")
			return
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		switch p := p.(type) {
		case *packet.Publish:
			fmt.Printf("%v %s: %s\n", p.Type(), p.Topic, p.Payload)
		default:
			fmt.Println(p.Type())
		}
		stream = stream[n:]
	}
	// Output:
	// PUBLISH garden/gate: open
	// PINGREQ
	// wait for more behind 1 byte
}

// An error names the field, says what is wrong, and carries the answer to the peer.
func ExampleDecode_error() {
	_, _, err := packet.Decode([]byte("\x30\x06\x00\x03a/#\x00"), colibri.V5)
	fmt.Println(err)
	var fault *colibri.Error
	if errors.As(err, &fault) {
		fmt.Printf("answer with 0x%02X\n", byte(fault.Code))
	}
	// Output:
	// PUBLISH Topic Name: holds a wildcard character: Topic Name invalid (0x90) [MQTT-3.3.2-2]
	// answer with 0x90
}

func ExampleDissect() {
	b, _ := packet.Append(nil, &packet.Publish{
		Topic: "garden/gate", QoS: colibri.AtLeastOnce, PacketID: 7, Payload: []byte("open"),
		Properties: colibri.Properties{}.AppendNumber(colibri.MessageExpiryInterval, 60).AppendUser("room", "9"),
	}, colibri.V5)
	_, _, fields, _ := packet.Dissect(b, colibri.V5)
	for _, f := range fields {
		fmt.Println(strings.TrimRight(fmt.Sprintf("%2d-%2d %s%s %s", f.Start, f.End, strings.Repeat("  ", f.Depth), f.Name, f.Text), " "))
	}
	// Output:
	//  0-37 PUBLISH
	//  0- 2   Fixed Header
	//  0- 1     Packet Type and Flags 50
	//  0- 1       MQTT Control Packet type PUBLISH
	//  0- 1       DUP flag 0
	//  0- 1       QoS level 1
	//  0- 1       RETAIN 0
	//  1- 2     Remaining Length 35
	//  2-33   Variable Header
	//  2-15     Topic Name "garden/gate"
	// 15-17     Packet Identifier 7
	// 17-33     Properties
	// 17-18       Property Length 15
	// 18-23       Message Expiry Interval 60
	// 18-19         Property Identifier 2 (0x02)
	// 19-23         Message Expiry Interval 60
	// 23-33       User Property "room": "9"
	// 23-24         Property Identifier 38 (0x26)
	// 24-30         User Property name "room"
	// 30-33         User Property value "9"
	// 33-37   Payload 6f70656e
}
