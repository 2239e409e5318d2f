package inspect

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// Follow writes the conversation of one client in two lanes, its packets on the left and
// the server's on the right, over all its connections. Answers name what they answer, and
// silences and resends are pointed out. Not safe for concurrent use.
type Follow struct {
	French  bool
	Explain *Explainer
	Paint   Paint

	w        *bufio.Writer
	clientID string
	begun    bool
	current  int // the connection that was shown last
	held     map[int]heldConnect
	open     map[exchange]begin // also over connections: QoS 1 and 2 outlive them
	last     [2]time.Duration   // of the client's and the server's last packet in this connection
	asked    time.Duration      // PINGREQ
	pinged   bool
	will     string
	left     bool // DISCONNECT was seen
	ended    bool // FIN or RST was seen
}

// exchange is a handshake under way.
type exchange struct {
	fromClient bool // who began it
	kind       packet.Type
	id         uint16
}

// begin is where an exchange began.
type begin struct {
	frame int
	at    time.Duration
	what  string
}

// heldConnect is a CONNECT without a Client Identifier, until CONNACK assigns one.
type heldConnect struct {
	at      time.Duration
	frame   int
	text    string
	note    string
	meaning string
	will    string
}

// maxHeld bounds the CONNECT packets that wait for their CONNACK.
const maxHeld = 1024

// laneWidth is the room for what the client says.
const laneWidth = 44

// NewFollow returns a Follow that writes to w about the client with this Client Identifier.
func NewFollow(w io.Writer, clientID string) *Follow {
	return &Follow{w: bufio.NewWriter(w), clientID: clientID, held: map[int]heldConnect{}, open: map[exchange]begin{}}
}

// Found reports whether the client was seen.
func (f *Follow) Found() bool { return f.begun }

// say chooses the language.
func (f *Follow) say(english, french string) string {
	if f.French {
		return french
	}
	return english
}

// Packet takes a Record.
func (f *Follow) Packet(r *Record) {
	at := r.Frame.Relative
	c := r.Connection
	if connect, ok := r.Packet.(*packet.Connect); ok && r.Err == nil && connect.ClientID == "" {
		if len(f.held) < maxHeld {
			f.held[c.ID] = heldConnect{at, r.Frame.Number, describe(r), f.say("asks the server for a Client Identifier", "demande un identifiant au serveur"), f.meaning(r), willOf(connect)}
		}
		if f.clientID != "" {
			return
		}
	}
	if c.ClientID != f.clientID {
		if r.Type == packet.CONNACK {
			delete(f.held, c.ID)
		}
		return
	}
	f.connection(r)
	if held, ok := f.held[c.ID]; ok && f.clientID != "" {
		delete(f.held, c.ID)
		f.will = held.will
		f.line(true, held.at, held.frame, held.text, held.note, held.meaning)
		f.last[0] = held.at
	}
	if connect, ok := r.Packet.(*packet.Connect); ok {
		f.will = willOf(connect)
		f.last[0] = at
	}
	f.line(r.FromClient, at, r.Frame.Number, describe(r), strings.Join(f.notes(r), "; "), f.meaning(r))
	lane := 0
	if !r.FromClient {
		lane = 1
	}
	f.last[lane] = at
	if r.Type == packet.DISCONNECT {
		f.left = true
	}
}

func willOf(p *packet.Connect) string {
	if p.Will == nil {
		return ""
	}
	return printable(strings.Clone(p.Will.Topic))
}

func (f *Follow) meaning(r *Record) string {
	switch {
	case f.Explain == nil:
		return ""
	case r.Err != nil:
		return f.Explain.FaultOf(r.Err)
	}
	return f.Explain.Packet(r)
}

// connection writes a heading when the connection is another one than before.
func (f *Follow) connection(r *Record) {
	c := r.Connection
	if f.begun && f.current == c.ID {
		return
	}
	if f.begun && !f.ended {
		f.remark(r.Frame.Relative, f.say("another connection of this client, while the one before was not seen to end", "une autre connexion de ce client, sans que la fin de la précédente ait été vue"))
	}
	if f.begun {
		f.w.WriteByte('\n')
	}
	f.begun, f.current, f.ended, f.left, f.pinged = true, c.ID, false, false, false
	client := printable(c.ClientID)
	if client == "" {
		client = f.say("(no Client Identifier)", "(sans identifiant)")
	}
	left := f.say("client ", "client ") + client + " " + c.Client.String()
	fmt.Fprintf(f.w, "%s\n", f.Paint.Bold(fmt.Sprintf("%12s  %-*s      %s %s (%s, MQTT %s)", f.say("time s", "temps s"), laneWidth, left, f.say("server", "serveur"), c.Server, c.Transport, r.Version)))
}

// line writes a packet in its lane.
func (f *Follow) line(fromClient bool, at time.Duration, frame int, text, note, meaning string) {
	text = cutText(text, laneWidth)
	if note != "" {
		note = "  " + f.Paint.Note(note)
	}
	stamp := f.Paint.Dim(fmt.Sprintf("%12.6f", at.Round(time.Microsecond).Seconds()))
	if fromClient {
		fmt.Fprintf(f.w, "%s  %-*s -->%s\n", stamp, laneWidth, text, note)
	} else {
		fmt.Fprintf(f.w, "%s  %*s <-- %s%s\n", stamp, laneWidth, "", text, note)
	}
	if meaning != "" {
		for _, line := range wrap(meaning, 92) {
			fmt.Fprintf(f.w, "%14s%s\n", "", f.Paint.Dim(line))
		}
	}
}

func (f *Follow) remark(at time.Duration, text string) {
	fmt.Fprintf(f.w, "%s  %s\n", f.Paint.Dim(fmt.Sprintf("%12.6f", at.Round(time.Microsecond).Seconds())), f.Paint.Wrong("-- "+text))
}

// cutText shortens text to at most width characters.
func cutText(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	return string(runes[:width-1]) + "…"
}

// describe says what a packet says, in the standard's words.
func describe(r *Record) string {
	text := r.Type.String()
	if r.Err != nil {
		return text + " (malformed)"
	}
	switch p := r.Packet.(type) {
	case *packet.Connect:
		clean := "Clean Start"
		if r.Version != colibri.V5 {
			clean = "Clean Session"
		}
		if p.CleanStart {
			text += ", " + clean
		}
		text += fmt.Sprintf(", Keep Alive %d s", p.KeepAlive)
		if p.Will != nil {
			text += ", Will " + printable(p.Will.Topic)
		}
	case *packet.Connack:
		text += " " + codeText(r, p.Code)
		if p.SessionPresent {
			text += ", Session Present"
		}
	case *packet.Publish:
		text += " " + printable(p.Topic) + fmt.Sprintf(", QoS %d", p.QoS)
		if p.PacketID != 0 {
			text += fmt.Sprintf(", id %d", p.PacketID)
		}
		if p.Retain {
			text += ", RETAIN"
		}
		if p.Dup {
			text += ", DUP"
		}
		text += fmt.Sprintf(", %d bytes", len(p.Payload))
	case *packet.Puback:
		text += idText(r, p.PacketID, p.Code)
	case *packet.Pubrec:
		text += idText(r, p.PacketID, p.Code)
	case *packet.Pubrel:
		text += idText(r, p.PacketID, p.Code)
	case *packet.Pubcomp:
		text += idText(r, p.PacketID, p.Code)
	case *packet.Subscribe:
		text += fmt.Sprintf(" id %d", p.PacketID)
		for i := range p.Subscriptions {
			text += fmt.Sprintf(", %s QoS %d", printable(p.Subscriptions[i].Filter), p.Subscriptions[i].QoS)
		}
	case *packet.Suback:
		text += fmt.Sprintf(" id %d", p.PacketID)
		for _, code := range p.Codes {
			text += ", " + codeText(r, code)
		}
	case *packet.Unsubscribe:
		text += fmt.Sprintf(" id %d", p.PacketID)
		for _, filter := range p.Filters {
			text += ", " + printable(filter)
		}
	case *packet.Unsuback:
		text += idText(r, p.PacketID, 0)
	case *packet.Disconnect:
		if p.Code != 0 || !r.FromClient {
			text += " " + codeText(r, p.Code)
		}
	}
	return text
}

func idText(r *Record, id uint16, code colibri.ReasonCode) string {
	text := fmt.Sprintf(" id %d", id)
	if code != 0 {
		text += ", " + codeText(r, code)
	}
	return text
}

// codeText is the name of a code, as the packet has it.
func codeText(r *Record, code colibri.ReasonCode) string {
	for _, field := range r.Fields() {
		if value, ok := field.Value.(colibri.ReasonCode); ok && value == code {
			return field.Text
		}
	}
	return code.String()
}

// notes links a packet to those before it.
func (f *Follow) notes(r *Record) (notes []string) {
	at := r.Frame.Relative
	add := func(format string, values ...any) { notes = append(notes, fmt.Sprintf(format, values...)) }
	if r.FromClient && r.Type != packet.CONNECT {
		notes = append(notes, f.silence(r)...)
	}
	begins := func(kind packet.Type, id uint16, what string, again bool) {
		key := exchange{r.FromClient, kind, id}
		before, known := f.open[key]
		switch {
		case known && again:
			add(f.say("sent again: first in frame %d, %s before", "renvoyé : d'abord dans la trame %d, %s avant"), before.frame, gap(at-before.at))
			return
		case again:
			add("%s", f.say("sent again: its first copy is not in the capture", "renvoyé : sa première copie n'est pas dans la capture"))
		case known:
			add(f.say("this Packet Identifier is still in use, since frame %d", "cet identifiant est encore pris, depuis la trame %d"), before.frame)
		}
		f.open[key] = begin{r.Frame.Number, at, what}
	}
	answers := func(kind packet.Type, id uint16, step string, last bool) {
		key := exchange{!r.FromClient, kind, id}
		first, known := f.open[key]
		if !known {
			add("%s", f.say("what it answers is not in the capture", "ce à quoi il répond n'est pas dans la capture"))
			return
		}
		if step != "" {
			step = "QoS " + step + ", "
		}
		add(f.say("%sfor %s of frame %d, %s later", "%spour %s de la trame %d, %s plus tard"), step, first.what, first.frame, gap(at-first.at))
		if last {
			delete(f.open, key)
		}
	}
	switch p := r.Packet.(type) {
	case *packet.Publish:
		if p.QoS > 0 {
			begins(packet.PUBLISH, p.PacketID, "PUBLISH "+printable(strings.Clone(p.Topic)), p.Dup)
		}
	case *packet.Puback:
		answers(packet.PUBLISH, p.PacketID, "1", true)
	case *packet.Pubrec:
		answers(packet.PUBLISH, p.PacketID, "2 2/4", p.Code.Failed())
	case *packet.Pubrel:
		f.release(r, p, add)
	case *packet.Pubcomp:
		answers(packet.PUBLISH, p.PacketID, "2 4/4", true)
	case *packet.Subscribe:
		begins(packet.SUBSCRIBE, p.PacketID, "SUBSCRIBE", p.Dup)
	case *packet.Suback:
		answers(packet.SUBSCRIBE, p.PacketID, "", true)
	case *packet.Unsubscribe:
		begins(packet.UNSUBSCRIBE, p.PacketID, "UNSUBSCRIBE", p.Dup)
	case *packet.Unsuback:
		answers(packet.UNSUBSCRIBE, p.PacketID, "", true)
	case *packet.Pingreq:
		f.asked, f.pinged = at, true
	case *packet.Pingresp:
		if f.pinged {
			add(f.say("%s after PINGREQ", "%s après PINGREQ"), gap(at-f.asked))
			f.pinged = false
		}
	}
	return notes
}

// release links a PUBREL, which comes from the end that sent the PUBLISH.
func (f *Follow) release(r *Record, p *packet.Pubrel, add func(format string, values ...any)) {
	key := exchange{r.FromClient, packet.PUBLISH, p.PacketID}
	first, known := f.open[key]
	if !known {
		f.open[key] = begin{r.Frame.Number, r.Frame.Relative, "PUBREL"}
		add("%s", f.say("its PUBLISH is not in the capture", "son PUBLISH n'est pas dans la capture"))
		return
	}
	add(f.say("QoS 2 3/4, for %s of frame %d, %s later", "QoS 2 3/4, pour %s de la trame %d, %s plus tard"), first.what, first.frame, gap(r.Frame.Relative-first.at))
}

// silence says how long the client was silent before r, where the Keep Alive makes that
// worth saying (section 3.1.2.10).
func (f *Follow) silence(r *Record) []string {
	keepAlive := time.Duration(r.Connection.KeepAlive) * time.Second
	silent := r.Frame.Relative - f.last[0]
	limit := keepAlive + keepAlive/2
	switch {
	case keepAlive == 0:
		return nil
	case silent > limit:
		return []string{fmt.Sprintf(f.say("silent for %s: the server may close the connection after %s", "silence de %s : le serveur peut fermer la connexion après %s"), gap(silent), gap(limit))}
	case silent > keepAlive+time.Second:
		return []string{fmt.Sprintf(f.say("silent for %s, longer than the Keep Alive of %s", "silence de %s, plus long que le Keep Alive de %s"), gap(silent), gap(keepAlive))}
	case r.Type == packet.PINGREQ:
		return []string{fmt.Sprintf(f.say("silent for %s; without it the server would close the connection after %s", "silence de %s ; sans lui le serveur fermerait la connexion après %s"), gap(silent), gap(limit))}
	}
	return nil
}

// gap shows a duration as people say it.
func gap(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// Event takes an Event.
func (f *Follow) Event(e *Event) {
	if !f.begun || e.Connection.ID != f.current || e.Connection.ClientID != f.clientID {
		return
	}
	switch e.Kind {
	case Gap:
		f.remark(e.Frame.Relative, fmt.Sprintf(f.say("%d bytes are missing in the capture", "%d octets manquent à la capture"), e.Bytes))
	case Closed:
		f.ended = true
		who := f.say("the server", "le serveur")
		if e.FromClient {
			who = f.say("the client", "le client")
		}
		how := f.say("closes the connection", "ferme la connexion")
		if e.Reset {
			how = f.say("breaks the connection off (RST)", "rompt la connexion (RST)")
		}
		text := who + " " + how
		if !f.left {
			text += f.say(" without DISCONNECT", " sans DISCONNECT")
			if f.will != "" {
				text += f.say(": the server publishes the Will Message on ", " : le serveur publie le testament sur ") + f.will
			}
		}
		f.remark(e.Frame.Relative, text)
	}
}

// Flush hands on what was written. The error is that of the first write
// that failed.
func (f *Follow) Flush() error { return f.w.Flush() }

// Finish writes what was never answered.
func (f *Follow) Finish() {
	var left []begin
	for _, b := range f.open {
		left = append(left, b)
	}
	slices.SortFunc(left, func(a, b begin) int { return a.frame - b.frame })
	for _, b := range left {
		f.remark(b.at, fmt.Sprintf(f.say("%s of frame %d was not answered to its end in this capture", "%s de la trame %d n'a pas reçu toutes ses réponses dans cette capture"), b.what, b.frame))
	}
}
