package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/client"
	"github.com/colibri-mqtt/colibri/internal/certtest"
	"github.com/colibri-mqtt/colibri/internal/passwd"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
)

// secureConnections is how many clients see the files of a broker change.
const secureConnections = 1000

// busyBroker is a broker whose clients publish all the time while its files change.
type busyBroker struct {
	*runningBroker
	files  *secureFiles
	port   string
	server *x509.CertPool // by which clients check the broker
	sensor *certtest.Pair // what most clients show
	seen   int            // how many bytes of the log were looked at
}

// login is who a client says it is.
type login struct {
	user, password string
	pair           *certtest.Pair
}

// dial connects. met, if not nil, is set to the name in the certificate of the broker, and heard
// is told the topic of each message that comes.
func (b *busyBroker) dial(id string, who login, met *string, heard func(topic string)) (*client.Client, error) {
	config := &tls.Config{RootCAs: b.server, ServerName: "localhost", Certificates: []tls.Certificate{who.pair.TLS()},
		VerifyConnection: func(state tls.ConnectionState) error {
			if met != nil {
				*met = state.PeerCertificates[0].Subject.CommonName
			}
			return nil
		}}
	o := client.Options{ClientID: id, CleanStart: true, Version: colibri.V5, UserName: who.user, Password: []byte(who.password),
		Dial: func(ctx context.Context, url string) (net.Conn, error) {
			return transport.Dial(ctx, url, transport.Options{TLS: config})
		}}
	if heard != nil {
		o.Trace = func(e client.Event) {
			if p, ok := e.Packet.(*packet.Publish); ok && e.Kind == client.Received {
				heard(strings.Clone(p.Topic)) // as p is valid during the call only
			}
		}
	}
	return client.Dial(b.Context(), "tls://127.0.0.1:"+b.port, o)
}

// says waits for the first line of the log that matches, after those that were waited for.
func (b *busyBroker) says(pattern string) {
	b.Helper()
	want, late := regexp.MustCompile(pattern), time.After(patience)
	for {
		text, changed := b.stderr.now()
		if found := want.FindStringIndex(text[b.seen:]); found != nil {
			b.seen += found[1]
			return
		}
		select {
		case <-changed:
		case <-late:
			b.Fatalf("the broker did not say %q; it said:\n%s", pattern, text[b.seen:])
		}
	}
}

// expect connects, and wants to meet the server of that name, and to be let in unless refused
// names why not.
func (b *busyBroker) expect(what string, who login, server, refused string) {
	b.Helper()
	met := ""
	c, err := b.dial("new", who, &met, nil)
	if err == nil {
		c.Close()
	}
	if met != server || (err == nil) != (refused == "") || err != nil && !strings.Contains(err.Error(), refused) {
		b.Errorf("%s: met the server %q, %v, want %q and %q", what, met, err, server, refused)
	}
}

// passwords writes the password file: a line of text each, or "user:password" to be hashed.
func (b *busyBroker) passwords(lines ...string) string {
	b.Helper()
	for i, line := range lines {
		user, password, found := strings.Cut(line, ":")
		if !found {
			continue
		}
		hash, err := passwd.New(passwd.SHA512, 0, []byte(password))
		if err != nil {
			b.Fatal(err)
		}
		lines[i] = user + ":" + hash.String()
	}
	return certtest.Write(b.files.T, b.files.dir, "passwords", []byte(strings.Join(lines, "\n")+"\n"))
}

// rules writes the ACL file, in which bob and eve have these.
func (b *busyBroker) rules(bob, eve string) string {
	b.Helper()
	return certtest.Write(b.files.T, b.files.dir, "rules.acl", []byte("user fleet\ntopic #\nuser ann\ntopic #\nuser bob\n"+bob+"\nuser eve\n"+eve+"\n"))
}

// startBusyBroker starts a broker with a file of each kind, and its clients.
func startBusyBroker(t *testing.T) (*busyBroker, []*client.Client) {
	b := &busyBroker{runningBroker: &runningBroker{T: t}, files: newSecureFiles(t)}
	f := b.files
	b.server, b.sensor = f.authority.Pool(), f.authority.Client(t, "sensor")
	crl := certtest.Write(t, f.dir, "crl.pem", f.authority.Revoke(t, time.Now().AddDate(1, 0, 0)))
	b.runningBroker = startConfigured(t, "persistence false\nmax_queued_messages 0\ncolibri_firehose restrict\n"+
		"password_file "+b.passwords("fleet:many", "ann:old", "bob:x", "eve:y")+
		"\nacl_file "+b.rules("topic house/#\ntopic read mark", "topic read #\ntopic deny load/#")+"\n"+
		f.listener("cafile "+f.cafile+"\ncrlfile "+crl+"\nrequire_certificate true\n"))
	_, b.port, _ = net.SplitHostPort(b.address())

	clients := make([]*client.Client, secureConnections)
	var wait sync.WaitGroup
	for lane := range 8 {
		wait.Go(func() {
			for i := lane; i < len(clients); i += 8 {
				var err error
				if clients[i], err = b.dial(fmt.Sprint("c", i), login{"fleet", "many", b.sensor}, nil, nil); err != nil {
					t.Errorf("client %d: %v", i, err)
				}
			}
		})
	}
	wait.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return b, clients
}

// load has clients publish until the function that it returns is called, which returns how
// many messages were acknowledged.
func (b *busyBroker) load(clients []*client.Client) (end func() int) {
	stop, sent := make(chan struct{}), [4]int{}
	var lanes sync.WaitGroup
	for lane := range sent {
		lanes.Go(func() {
			for i := lane; ; i = (i + len(sent)) % len(clients) {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := clients[i].Publish(b.Context(), &colibri.Message{Topic: "load/x", Payload: []byte("x"), QoS: colibri.AtLeastOnce}); err != nil {
					b.Errorf("client %d, while files change: %v", i, err)
					return
				}
				sent[lane]++
			}
		})
	}
	return func() (all int) {
		close(stop)
		lanes.Wait()
		for _, n := range sent {
			all += n
		}
		return all
	}
}

// heard are the topics of the messages that a client has received, but for those of the load.
type heard struct {
	mu      sync.Mutex
	topics  []string
	load    int
	changed chan struct{} // has room for one; filled at each change
}

func (h *heard) add(topic string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if topic == "load/x" {
		h.load++
	} else {
		h.topics = append(h.topics, topic)
	}
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// until waits until enough holds, and returns the topics since the last time.
func (h *heard) until(t *testing.T, what string, enough func() bool) []string {
	t.Helper()
	late := time.After(patience)
	for {
		h.mu.Lock()
		ok, topics := enough(), h.topics
		if ok {
			h.topics = nil
		}
		h.mu.Unlock()
		if ok {
			return topics
		}
		select {
		case <-h.changed:
		case <-late:
			t.Fatalf("%s has not come; %q have", what, topics)
		}
	}
}

// listens connects a client that subscribes.
func (b *busyBroker) listens(user, password string, filters ...string) (*client.Client, *heard) {
	b.Helper()
	h := &heard{changed: make(chan struct{}, 1)}
	c, err := b.dial(user, login{user, password, b.sensor}, nil, h.add)
	for _, filter := range filters {
		if err == nil {
			_, err = c.Subscribe(b.Context(), colibri.Subscription{Filter: filter})
		}
	}
	if err != nil {
		b.Fatalf("%s: %v", user, err)
	}
	return c, h
}

// TestFilesUnderLoad replaces each file of a broker that serves 1,000 clients over TLS: the
// certificate, its key, the CA, the revocation list, the passwords and the access rules, each
// once with a broken one. No connection is lost and no message, who comes anew meets what
// holds, and what a broken file would have changed stays as it was. Nobody sends a signal:
// the files are watched.
func TestFilesUnderLoad(t *testing.T) {
	isolate(t)
	b, clients := startBusyBroker(t)
	f := b.files
	fleet := login{"fleet", "many", b.sensor}
	ann, _ := b.listens("ann", "old", "nothing")
	bob, bobHears := b.listens("bob", "x", "house/#", "mark")
	_, eveHears := b.listens("eve", "y", "#", "mark")
	counter, counted := b.listens("fleet", "many")
	all, err := counter.Subscribe(t.Context(), colibri.Subscription{Filter: "load/#", QoS: colibri.AtLeastOnce})
	if err != nil {
		t.Fatal(err)
	}
	counting, stopCounting := context.WithCancel(t.Context())
	var counts sync.WaitGroup
	defer counts.Wait()
	defer stopCounting()
	counts.Go(func() {
		for range all.All(counting) { // takes them, so that they are acknowledged
		}
	})
	lost := login{"fleet", "many", f.authority.Client(t, "lost")}
	lostClient, err := b.dial("lost", lost, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	end := b.load(clients)

	const (
		certificates = "Reading the certificates of port 0 again: "
		passwords    = "Reading the passwords again: "
		rules        = "Reading the access rules again: "
		holds        = `what stands there holds from now on\.`
		refused      = ` The broker goes on with what held before\.`
	)
	b.expect("at first", fleet, "broker", "")

	next := f.authority.Issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "renewed"}, DNSNames: []string{"localhost"}})
	certtest.Write(t, f.dir, "server.crt", next.CertPEM)
	b.says(certificates + `Keyfile '.*server\.key' does not belong to certfile '.*server\.crt': name the key with which the certificate was made\.` + refused)
	b.expect("with a certificate without its key", fleet, "broker", "")
	certtest.Write(t, f.dir, "server.key", next.KeyPEM)
	b.says(certificates + holds)
	b.expect("with a new certificate", fleet, "renewed", "")
	certtest.Write(t, f.dir, "server.key", []byte("broken"))
	b.says(certificates + `Keyfile '.*server\.key' holds no private key in PEM: it must have a line that begins with -----BEGIN and ends with PRIVATE KEY-----\.` + refused)
	b.expect("with a broken key", fleet, "renewed", "")
	certtest.Write(t, f.dir, "server.key", next.KeyPEM)
	b.says(certificates + holds)

	certtest.Write(t, f.dir, "crl.pem", []byte("broken"))
	b.says(certificates + `Crlfile '.*crl\.pem'.*` + refused)
	b.expect("before it is revoked", lost, "renewed", "")
	certtest.Write(t, f.dir, "crl.pem", f.authority.Revoke(t, time.Now().AddDate(1, 0, 0), lost.pair))
	b.says(certificates + holds)
	b.expect("after it was revoked", lost, "renewed", "bad certificate")
	b.says(`was closed: the client's certificate is refused: the certificate 'lost' \(serial number [0-9a-f]+\) was revoked by its CA on .* UTC; give the client a new one\.`)
	b.expect("and another one", fleet, "renewed", "")

	b.passwords("fleet:many", "half a line")
	b.says(passwords + `.*passwords:2: there is no ':' between a user and a password.*\.` + refused)
	b.expect("with broken passwords", login{"ann", "old", b.sensor}, "renewed", "")
	b.passwords("fleet:many", "ann:new", "bob:x", "eve:y")
	b.says(passwords + holds)
	b.expect("with the old password", login{"ann", "old", b.sensor}, "renewed", "Not authorized")
	b.expect("with the new password", login{"ann", "new", b.sensor}, "renewed", "")

	// publish has a client of the fleet send to topics, one after the other: who may hear them
	// has heard all of them when he hears the last.
	publish := func(topics ...string) {
		t.Helper()
		for _, topic := range topics {
			if _, err := clients[0].Publish(t.Context(), &colibri.Message{Topic: topic, QoS: colibri.AtLeastOnce}); err != nil {
				t.Errorf("%s: %v", topic, err)
			}
		}
	}
	hear := func(when string, h *heard, want ...string) {
		t.Helper()
		got := h.until(t, when+": the message to mark", func() bool { return slices.Contains(h.topics, "mark") })
		if !slices.Equal(got, want) {
			t.Errorf("%s: got messages to %q, want %q", when, got, want)
		}
	}
	may := func(when string, want error) {
		t.Helper()
		_, err := bob.Publish(t.Context(), &colibri.Message{Topic: "house/bob", QoS: colibri.AtLeastOnce})
		if want == nil && err != nil || want != nil && !errors.Is(err, want) {
			t.Errorf("bob publishes %s: got %v, want %v", when, err, want)
		}
	}
	publish("house/door", "mark")
	hear("bob, before", bobHears, "house/door", "mark")
	hear("eve, before", eveHears, "house/door", "mark")
	b.rules("topics house/#", "topic read mark")
	b.says(rules + `The ACL file is wrong: .*rules\.acl:6: 'topics' is none of user, topic and pattern, with one of which a line begins\.` + refused)
	may("with broken rules", nil)
	publish("house/door", "mark")
	hear("bob, with broken rules", bobHears, "house/bob", "house/door", "mark")
	hear("eve, with broken rules", eveHears, "house/bob", "house/door", "mark")
	b.rules("topic read mark", "topic read house/#\ntopic read mark")
	b.says(rules + holds)
	may("with new rules", colibri.NotAuthorized)
	b.says(`Denied: client bob \(user bob\) may not publish to house/bob: `)
	publish("house/door", "mark")
	hear("bob, who may not read any more", bobHears, "mark")
	hear("eve, whose Subscription may not stand", eveHears, "mark")

	other := certtest.NewAuthority(t, "Other CA")
	certtest.Write(t, f.dir, "ca.crt", other.CertPEM)
	b.says(certificates + `Crlfile '.*crl\.pem'.*` + refused)
	b.expect("with a CA that the list is not of", fleet, "renewed", "")
	certtest.Write(t, f.dir, "crl.pem", other.Revoke(t, time.Now().AddDate(1, 0, 0)))
	b.says(certificates + holds)
	b.expect("with another CA", fleet, "renewed", "certificate required")
	b.expect("a client of that CA", login{"fleet", "many", other.Client(t, "new")}, "renewed", "")

	sent := end()
	counted.until(t, fmt.Sprintf("each of %d messages", sent), func() bool { return counted.load >= sent })
	if sent < secureConnections || counted.load > sent {
		t.Errorf("%d messages were acknowledged, and %d have come", sent, counted.load)
	}
	for i, c := range append(clients, ann, lostClient) {
		if _, err := c.Publish(t.Context(), &colibri.Message{Topic: "end", QoS: colibri.AtLeastOnce}); err != nil {
			t.Errorf("client %d, at the end: %v", i, err)
		}
		c.Close()
	}
	if log := b.runningBroker.end(); strings.Contains(log, "many") || strings.Contains(log, "dropped") {
		t.Errorf("the log shows a password, or a loss:\n%s", log)
	}
}
