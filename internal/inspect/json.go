package inspect

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// JSON writes one object for each Record, on a line of its own. Not safe for concurrent use.
type JSON struct {
	Hex     bool // the bytes of each packet too
	Secrets bool // show passwords
	Explain *Explainer

	w *bufio.Writer
	e *json.Encoder
}

// NewJSON returns a JSON that writes to w.
func NewJSON(w io.Writer) *JSON {
	j := &JSON{w: bufio.NewWriter(w)}
	j.e = json.NewEncoder(j.w)
	j.e.SetEscapeHTML(false)
	return j
}

// jsonRecord is the object. Scripts read the keys.
type jsonRecord struct {
	Number      int         `json:"number"`
	Frame       int         `json:"frame"`
	Time        string      `json:"time,omitempty"`
	Relative    float64     `json:"relative"` // seconds
	Length      int         `json:"length"`   // of the frame
	Comment     string      `json:"comment,omitempty"`
	Connection  int         `json:"connection"`
	Source      string      `json:"source"`
	Destination string      `json:"destination"`
	Transport   string      `json:"transport"`
	Direction   string      `json:"direction"`
	ClientID    string      `json:"client_id"`
	Version     string      `json:"version"`
	Guessed     bool        `json:"version_guessed,omitempty"`
	Type        string      `json:"type"`
	Info        string      `json:"info"`
	Size        int         `json:"size"`
	Missing     int         `json:"missing,omitempty"`
	Error       string      `json:"error,omitempty"`
	Rule        string      `json:"rule,omitempty"`
	Meaning     string      `json:"meaning,omitempty"`
	Hex         string      `json:"hex,omitempty"`
	Fields      []jsonField `json:"fields"`
}

type jsonField struct {
	Name    string `json:"name"`
	Depth   int    `json:"depth"`
	Start   int    `json:"start"`
	End     int    `json:"end"`
	Mask    byte   `json:"mask,omitempty"`
	Value   any    `json:"value,omitempty"`
	Hex     string `json:"hex,omitempty"` // in place of value, for bytes that are no UTF-8
	Text    string `json:"text,omitempty"`
	Meaning string `json:"meaning,omitempty"`
	Section string `json:"section,omitempty"`
}

// Packet writes a Record.
func (j *JSON) Packet(r *Record) {
	o := jsonRecord{
		Number: r.Number, Frame: r.Frame.Number, Relative: r.Frame.Relative.Seconds(), Length: r.Frame.Length,
		Comment: r.Frame.Comment, Connection: r.Connection.ID,
		Source: r.Source().String(), Destination: r.Destination().String(),
		Transport: r.Connection.Transport.String(), Direction: r.Direction(), ClientID: r.Connection.ClientID,
		Version: r.Version.String(), Guessed: r.Guessed, Type: r.Type.String(), Info: r.Info(),
		Size: r.Size, Missing: r.Missing,
	}
	if !r.Frame.Time.IsZero() {
		o.Time = r.Frame.Time.Format(time.RFC3339Nano)
	}
	if r.Err != nil {
		o.Error = r.Err.Error()
		if fault, ok := errors.AsType[*colibri.Error](r.Err); ok {
			o.Rule = fault.Rule
		}
	}
	fields, b := r.Fields(), r.Bytes
	if !j.Secrets {
		b = hide(fields, b)
	}
	if j.Hex {
		o.Hex = hex.EncodeToString(b)
	}
	if j.Explain != nil {
		o.Meaning = j.Explain.Packet(r)
	}
	o.Fields = make([]jsonField, 0, len(fields))
	for i := range fields {
		o.Fields = append(o.Fields, j.field(&fields[i], r))
	}
	// Nothing here cannot be encoded, and a writer that fails does so again in Flush.
	_ = j.e.Encode(&o)
}

func (j *JSON) field(f *packet.Field, r *Record) jsonField {
	shown := jsonField{Name: f.Name, Depth: f.Depth, Start: f.Start, End: f.End, Mask: f.Mask}
	switch value := f.Value.(type) {
	case nil:
		shown.Text = f.Text
	case []byte:
		if utf8.Valid(value) {
			shown.Value = string(value)
		} else {
			shown.Hex = hex.EncodeToString(value)
		}
	case packet.Type:
		shown.Value, shown.Text = byte(value), f.Text
	case colibri.ReasonCode:
		shown.Value, shown.Text = byte(value), f.Text
	case string:
		if utf8.ValidString(value) {
			shown.Value = value
		} else {
			shown.Hex = hex.EncodeToString([]byte(value))
		}
	default:
		shown.Value = value
	}
	if j.Explain != nil {
		shown.Meaning, shown.Section = j.Explain.Field(f, r.Type, r.Version)
	}
	return shown
}

// Flush hands on what was written. The error is that of the first write that failed.
func (j *JSON) Flush() error { return j.w.Flush() }

// Direction is "to server" or "to client".
func (r *Record) Direction() string {
	if r.FromClient {
		return "to server"
	}
	return "to client"
}
