package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/colibri-mqtt/colibri/internal/display"
	"github.com/colibri-mqtt/colibri/internal/inspect"
	"github.com/colibri-mqtt/colibri/internal/topics"
)

// The shape of the columns of topic explain.
const (
	explainColumns = 80 // of a line
	levelColumns   = 30 // of a level; what is longer is cut
	shownLevels    = 64 // of the two texts, around the first that does not match
)

// topicWriter prints what topic explain and topic check have found out.
type topicWriter struct {
	w      io.Writer
	french bool
	paint  inspect.Paint
}

// say chooses the language.
func (t *topicWriter) say(en, fr string) string {
	if t.french {
		return fr
	}
	return en
}

// explainTopic is "topic explain".
func explainTopic(env *invocation, o *topicOptions) int {
	e := &topics.Explainer{French: o.french}
	x := e.Explain(o.arguments[0], o.arguments[1])
	if o.json {
		printJSON(env, x)
	} else {
		t := &topicWriter{env.stdout, o.french, inspect.Paint(wantsColour(env.stdout))}
		t.explanation(x)
	}
	switch {
	case !x.Valid:
		return exitTopicInvalid
	case !x.Matches:
		return exitNoMatch
	}
	return exitOK
}

// checkTopics is "topic check".
func checkTopics(env *invocation, o *topicOptions) int {
	e := &topics.Explainer{French: o.french}
	report := struct {
		OK      bool              `json:"ok"`
		Checked []*topics.Verdict `json:"checked"`
	}{OK: true}
	for _, text := range o.arguments {
		v := e.Filter(text)
		if o.names {
			v = e.Name(text)
		}
		report.OK = report.OK && v.Valid
		report.Checked = append(report.Checked, v)
	}
	if !o.names {
		e.Overlaps(report.Checked)
	}
	if o.json {
		printJSON(env, report)
	} else {
		t := &topicWriter{env.stdout, o.french, inspect.Paint(wantsColour(env.stdout))}
		for _, v := range report.Checked {
			t.verdict(v)
		}
	}
	if !report.OK {
		return exitTopicInvalid
	}
	return exitOK
}

// paragraph prints text below a mark, broken into lines.
func (t *topicWriter) paragraph(mark, text string) {
	margin := display.Width(mark)
	column := margin
	fmt.Fprint(t.w, mark)
	for i, word := range strings.Split(text, " ") { // two spaces in what is quoted stay two
		width := display.Width(word)
		switch {
		case i > 0 && column+1+width > explainColumns:
			fmt.Fprintf(t.w, "\n%*s", margin, "")
			column = margin
		case i > 0:
			fmt.Fprint(t.w, " ")
			column++
		}
		fmt.Fprint(t.w, word)
		column += width
	}
	fmt.Fprintln(t.w)
}

// verdict prints what there is to say about one text.
func (t *topicWriter) verdict(v *topics.Verdict) {
	text := display.Quote(v.Text, explainColumns)
	switch {
	case !v.Valid:
		fmt.Fprintf(t.w, "%s %s\n", t.paint.Wrong(t.say("invalid", "invalide")), text)
		t.fault(v.Fault)
	case len(v.Advice) == 0:
		fmt.Fprintf(t.w, "%s %s\n", t.say("valid", "valide"), text)
	default:
		fmt.Fprintf(t.w, "%s %s %s\n", t.say("valid", "valide"), text, t.paint.Note(t.say("but", "mais")))
		for _, advice := range v.Advice {
			t.paragraph("  - ", advice.Text)
		}
	}
}

// fault shows where a text is wrong, and says why.
func (t *topicWriter) fault(f *topics.Fault) {
	line, pointer, _ := strings.Cut(f.Pointer, "\n")
	fmt.Fprintf(t.w, "    %s\n    %s\n", line, t.paint.Wrong(pointer))
	what := f.What
	if t.french {
		what = map[string]string{"Topic Filter": "Filtre", "Topic Name": "Sujet"}[what]
	}
	t.paragraph("  ", fmt.Sprintf(t.say("%s, level %d, character %d: %s [%s].", "%s, niveau %d, caractère %d : %s [%s]."),
		what, f.Level, f.Character, f.Reason, f.Rule))
	if f.Advice != "" {
		t.paragraph("  ", f.Advice)
	}
}

// explanation prints the verdict, the columns and the reasons.
func (t *topicWriter) explanation(x *topics.Explanation) {
	switch {
	case !x.Valid:
		fmt.Fprintln(t.w, t.paint.Wrong(t.say("invalid", "invalide")))
		for i := range x.Faults {
			t.fault(&x.Faults[i])
		}
		t.hints(x)
		return
	case x.Matches:
		fmt.Fprintln(t.w, t.paint.Bold(t.say("matches", "correspond")))
	default:
		fmt.Fprintln(t.w, t.paint.Wrong(t.say("does not match", "ne correspond pas")))
	}
	if x.Share != "" {
		t.paragraph("", fmt.Sprintf(t.say("A Shared Subscription: of the clients that share the name %s, each message goes to one. What is compared is the filter behind it, %s.",
			"Un abonnement partagé : parmi les clients qui partagent le nom %s, chaque message va à un seul. C'est le filtre qui suit, %s, qui est comparé."),
			display.Quote(x.Share, levelColumns), display.Quote(x.Inner, levelColumns)))
	}
	fmt.Fprintln(t.w)
	from := 0
	if len(x.Levels) > shownLevels {
		from = min(max(0, x.Level-shownLevels/2), len(x.Levels)-shownLevels)
	}
	to := min(from+shownLevels, len(x.Levels))
	t.columns(x, from, to)
	if to-from < len(x.Levels) {
		fmt.Fprintf(t.w, t.say("Of the %d levels, %d to %d are shown.\n\n", "Des %d niveaux, %d à %d sont montrés.\n\n"), len(x.Levels), from+1, to)
	}
	for i, l := range x.Levels[from:to] {
		n := from + i + 1
		switch {
		case !x.Matches && n == x.Level:
			rule := ""
			if x.Rule != "" {
				rule = " [" + x.Rule + "]"
			}
			t.paragraph(fmt.Sprintf(t.say("level %d: ", "niveau %d : "), n), x.Reason+rule)
		case l.Mark != "" && l.Filter != nil && (*l.Filter == "+" || *l.Filter == "#"):
			t.paragraph(fmt.Sprintf(t.say("level %d: ", "niveau %d : "), n), t.wildcard(l))
		}
	}
	t.hints(x)
}

// wildcard says what a wildcard that matches stands for here.
func (t *topicWriter) wildcard(l topics.Level) string {
	switch {
	case l.Topic == nil:
		return l.Why + "."
	case *l.Topic == "":
		return l.Why + t.say(", here an empty one.", ", ici vide.")
	}
	return l.Why + t.say(", here ", ", ici ") + display.Quote(*l.Topic, levelColumns) + "."
}

func (t *topicWriter) hints(x *topics.Explanation) {
	for _, hint := range x.Hints {
		t.paragraph("", hint.Text)
	}
}

// columns prints levels from to to, the filter above the topic, in as many blocks as fit.
func (t *topicWriter) columns(x *topics.Explanation, from, to int) {
	titles := []string{t.say("level", "niveau"), t.say("filter", "filtre"), t.say("topic", "sujet"), ""}
	margin := 0
	for _, title := range titles {
		margin = max(margin, display.Width(title)+2)
	}
	lines := make([]strings.Builder, len(titles))
	used := 0
	flush := func() {
		for i := range lines {
			text := strings.TrimRight(display.Pad(titles[i], margin)+lines[i].String(), " ")
			if text != "" {
				fmt.Fprintln(t.w, text)
			}
			lines[i].Reset()
		}
		fmt.Fprintln(t.w)
		used = 0
	}
	for i := from; i < to; i++ {
		l := x.Levels[i]
		cells := []string{fmt.Sprint(i + 1), t.cell(l.Filter, i), t.cell(l.Topic, i), l.Mark}
		width := 0
		for _, cell := range cells {
			width = max(width, display.Width(cell))
		}
		if used > 0 && margin+used+width > explainColumns {
			flush()
		}
		for j, cell := range cells {
			padded := display.Pad(cell, width+2)
			if !l.Matches && i+1 == x.Level && j > 0 {
				padded = t.paint.Wrong(cell) + padded[len(cell):]
			}
			lines[j].WriteString(padded)
		}
		used += width + 2
	}
	flush()
}

// cell shows level i of a text; all but the first with the "/" that begins it.
func (t *topicWriter) cell(level *string, i int) string {
	text := ""
	switch {
	case level == nil:
		return ""
	case *level == "":
		text = t.say("(empty)", "(vide)")
	default:
		text = display.Cut(display.Safe(*level), levelColumns)
	}
	if i > 0 {
		return "/" + text
	}
	return text
}
