package interop

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// aclFile holds the access rules of TestACL, and aclReloaded those that replace them.
const (
	aclFile = `# anonymous clients
topic read public/#
user admin
topic readwrite #
topic readwrite $SYS/#
topic readwrite $own/#

user anna
topic house/#
topic read with space
topic deny house/safe
topic write alarm/+/fire
topic read $SYS/broker/connection/+/state
user ben
topic read #
topic deny nox
user   spaced name
topic   readwrite   spaced
user anna
topic read late
pattern readwrite dev/%c/#
pattern write inbox/%u/+
pattern deny dev/%c/secret
pattern write $SYS/broker/connection/%c/state
pattern readwrite part-%u/%cx
pattern read both/%u/%c
pattern read plain/x
pattern read $own/%u
`
	aclReloaded = `user admin
topic readwrite #
topic readwrite $SYS/#
user anna
topic read garden/#
`
)

// aclCase is one question to both brokers.
type aclCase struct {
	user, id string
	action   string // publish, receive, retained
	topic    string
}

func (c aclCase) String() string {
	return fmt.Sprintf("user %q id %q %s %s", c.user, c.id, c.action, c.topic)
}

// aclCases are asked of both brokers.
func aclCases() (cases []aclCase) {
	for _, who := range []struct{ user, id string }{{"", "c1"}, {"anna", "c1"}, {"ben", "c2"}, {"eve", "c3"}, {"spaced name", "c4"},
		{"anna", "+"}, {"eve", "#"}, {"#", "c5"}, {"+", "c6"}, {"a/b", "c/7"}, {"eve", "%u"}, {"%c", "c1"}} {
		for _, action := range []string{"publish", "receive", "retained"} {
			for _, topic := range []string{"public/x", "public", "house", "house/door", "house/safe", "house/safe/x", "with space", "alarm/1/fire",
				"alarm/1/2/fire", "late", "spaced", "dev/" + who.id + "/on", "dev/c1/on", "dev/" + who.id + "/secret", "dev/c9/on", "inbox/" + who.user + "/x",
				"inbox//x", "inbox/anna/x", "part-" + who.user + "/" + who.id + "x", "part-anna/c1x", "both/" + who.user + "/" + who.id, "$own/" + who.user,
				"$own/x", "plain/x", "$SYS/broker/connection/" + who.id + "/state", "$SYS/broker/connection/zz/state", "$SYS/x"} {
				if legalName(topic) {
					cases = append(cases, aclCase{who.user, who.id, action, topic})
				}
			}
		}
	}
	return cases
}

func legalName(topic string) bool {
	for _, c := range topic {
		if c == '+' || c == '#' {
			return false
		}
	}
	return true
}

// aclAnswer is what a broker does.
type aclAnswer struct {
	refused   bool // PUBACK says that the client may not publish
	delivered bool
	granted   byte // by SUBACK
}

// TestACL asks Mosquitto and our broker the same questions about one ACL file, and again
// after it was replaced and read again.
func TestACL(t *testing.T) {
	m, c := startWithACL(t, mosquitto), startWithACL(t, colibri)
	allowed := 0
	for _, question := range aclCases() {
		want, got := askACL(t, m.broker, question), askACL(t, c.broker, question)
		if got != want {
			t.Errorf("%s: got %+v, want %+v as Mosquitto", question, got, want)
		}
		if want.delivered {
			allowed++
		}
	}
	if allowed < 50 {
		t.Errorf("only %d questions were answered with yes", allowed)
	}
	m.reload(t, `(?i)reloading config`)
	c.reload(t, `what stands there holds from now on`)
	for _, question := range []aclCase{{"anna", "c1", "receive", "garden/x"}, {"anna", "c1", "publish", "garden/x"}, {"anna", "c1", "publish", "house/x"},
		{"anna", "c1", "receive", "house/x"}, {"eve", "c3", "publish", "dev/c3/on"}, {"", "c1", "receive", "public/x"}} {
		if want, got := askACL(t, m.broker, question), askACL(t, c.broker, question); got != want {
			t.Errorf("after the reload: %s: got %+v, want %+v as Mosquitto", question, got, want)
		}
	}
}

// withACL is a broker with an ACL file.
type withACL struct {
	*broker
	file string
}

func startWithACL(t *testing.T, kind string) *withACL {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b := &withACL{&broker{kind: kind, port: freePort(t)}, filepath.Join(dir, "rules.acl")}
	configuration := filepath.Join(dir, "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nlog_type all\nuser root\nsys_interval 0\nacl_file %s\n", b.port, b.file)
	for path, text := range map[string]string{configuration: text, b.file: aclFile} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	path := paths[mosquitto]
	if kind == colibri {
		path = paths["colibri as mosquitto"]
	}
	b.program = start(t, path, "-c", configuration)
	b.waitUntilReady(t)
	return b
}

// reload replaces the rules and waits until the broker has said that it has read them.
func (b *withACL) reload(t *testing.T, line string) {
	t.Helper()
	if err := os.WriteFile(b.file, []byte(aclReloaded), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := b.program.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	b.program.expect(t, line)
}

// askACL asks one question. The client and a second one that may do everything exchange one
// message; an answered SUBSCRIBE behind it says that nothing more is on its way.
func askACL(t *testing.T, b *broker, c aclCase) (a aclAnswer) {
	t.Helper()
	client, admin := dialACL(t, b, c.user, c.id), dialACL(t, b, "admin", "admin")
	defer client.Close()
	defer admin.Close()
	switch c.action {
	case "publish":
		admin.subscribe(c.topic)
		a.refused = client.publish(c.topic, false) == packets.PubackNotAuthorized
		a.delivered = admin.hears("barrier")
	case "receive":
		a.granted = client.subscribe(c.topic)
		admin.publish(c.topic, false)
		a.delivered = client.hears("barrier")
	case "retained":
		admin.publish(c.topic, true)
		a.delivered = client.hears(c.topic)
	}
	return a
}

// clientPassword is what all clients with a User Name send.
const clientPassword = "password"

// aclPeer is a connection of a 5.0 client that sees each packet.
type aclPeer struct {
	net.Conn
	t *testing.T
}

func dialACL(t *testing.T, b *broker, user, id string) *aclPeer {
	t.Helper()
	nc, err := net.Dial("tcp", b.address())
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(patience))
	p := &aclPeer{nc, t}
	p.send(&packets.Connect{ProtocolName: "MQTT", ProtocolVersion: 5, CleanStart: true, ClientID: id, UsernameFlag: user != "", Username: user,
		PasswordFlag: user != "", Password: []byte(clientPassword), Properties: &packets.Properties{}})
	answer := p.next().Content.(*packets.Connack)
	if answer.ReasonCode != 0 {
		t.Fatalf("%s refused user %q with 0x%02x", b.kind, user, answer.ReasonCode)
	}
	return p
}

func (p *aclPeer) send(content packets.Packet) {
	p.t.Helper()
	if _, err := content.WriteTo(p); err != nil {
		p.t.Fatal(err)
	}
}

func (p *aclPeer) next() *packets.ControlPacket {
	p.t.Helper()
	packet, err := packets.ReadPacket(p)
	if err != nil {
		p.t.Fatal(err)
	}
	return packet
}

// subscribe returns the code of the SUBACK.
func (p *aclPeer) subscribe(filter string) byte {
	p.t.Helper()
	code, _ := p.subscribed(filter)
	return code
}

// unsubscribe returns the code of the UNSUBACK.
func (p *aclPeer) unsubscribe(filter string) byte {
	p.t.Helper()
	p.send(&packets.Unsubscribe{PacketID: 3, Properties: &packets.Properties{}, Topics: []string{filter}})
	for {
		if content, ok := p.next().Content.(*packets.Unsuback); ok {
			return content.Reasons[0]
		}
	}
}

// hears reports whether a message comes before the SUBACK to filter or, retained, behind it.
func (p *aclPeer) hears(filter string) bool {
	p.t.Helper()
	if _, heard := p.subscribed(filter); heard {
		return true
	}
	p.send(&packets.Pingreq{})
	for {
		switch p.next().Content.(type) {
		case *packets.Publish:
			return true
		case *packets.Pingresp:
			return false
		}
	}
}

func (p *aclPeer) subscribed(filter string) (code byte, heard bool) {
	p.t.Helper()
	p.send(&packets.Subscribe{PacketID: 1, Properties: &packets.Properties{}, Subscriptions: []packets.SubOptions{{Topic: filter}}})
	for {
		switch content := p.next().Content.(type) {
		case *packets.Publish:
			heard = true
		case *packets.Suback:
			return content.Reasons[0], heard
		}
	}
}

// publish returns the code of the PUBACK.
func (p *aclPeer) publish(topic string, retain bool) byte {
	p.t.Helper()
	p.send(&packets.Publish{PacketID: 2, QoS: 1, Retain: retain, Topic: topic, Payload: []byte("x"), Properties: &packets.Properties{}})
	for {
		if content, ok := p.next().Content.(*packets.Puback); ok {
			return content.ReasonCode
		}
	}
}
