package history

import (
	"bytes"
	"encoding/json"
	"time"
	"unicode/utf8"

	"tp0/supervisor/output/lines"
	"tp0/supervisor/output/retain"
	"tp0/supervisor/termtext"
)

// A record is what the beginning of a line in a file says about it.
type record struct {
	target *target // nil: no instance of the query printed the line
	hook   string  // of the instance; empty: its main process, or it is not known
	at     time.Time
	stream string
	body   int // where the text begins; for JSON, the whole line is parsed
	json   bool
}

// The forms of a line, see package output.
const (
	textStamp  = "2006-01-02T15:04:05.000Z"
	jsonStamp  = "2006-01-02T15:04:05.000000Z"
	jsonHead   = `{"@timestamp":"`
	jsonModule = `","@module":"`
	jsonStream = `","stream":"`
	jsonText   = `","@message":"`
)

// A parser finds the instance that printed a line of a file.
type parser struct {
	bare           *target // that printed all lines; nil: the lines have names
	byText, byJSON map[string]printer
}

// A printer is an instance, or a hook of it.
type printer struct {
	target *target
	hook   string
}

func newParser() parser { return parser{nil, map[string]printer{}, map[string]printer{}} }

// parse says who printed a line. The text of a child cannot imitate the beginning, because the
// supervisor wrote the beginning. A line that another program wrote has no target.
func (p *parser) parse(line []byte) (r record) {
	if p.bare != nil {
		return record{target: p.bare, stream: p.bare.only}
	}
	if rest, ok := bytes.CutPrefix(line, []byte(jsonHead)); ok {
		return p.parseJSON(rest)
	}
	rest := line
	if n := len(textStamp); len(rest) > n && rest[n] == ' ' && rest[0] != '[' {
		at, err := time.Parse(textStamp, string(rest[:n]))
		if err != nil {
			return r
		}
		r.at, rest = at, rest[n+1:]
	}
	end := bytes.Index(rest, []byte("] "))
	if end < 1 || rest[0] != '[' {
		return record{}
	}
	from := p.byText[string(rest[1:end])]
	if r.target, r.hook = from.target, from.hook; r.target != nil {
		r.stream, r.body = r.target.only, len(line)-len(rest)+end+2
	}
	return r
}

func (p *parser) parseJSON(rest []byte) (r record) {
	stamp, rest, ok := bytes.Cut(rest, []byte(jsonModule))
	name, rest, ok2 := bytes.Cut(rest, []byte(jsonStream))
	stream, _, ok3 := bytes.Cut(rest, []byte(jsonText))
	at, err := time.Parse(jsonStamp, string(stamp))
	if !ok || !ok2 || !ok3 || err != nil {
		return r
	}
	from := p.byJSON[string(name)]
	return record{
		target: from.target, hook: from.hook, at: at, stream: string(stream), json: true,
	}
}

// text returns the text of a line, and whether the next line continues it.
func (r *record) text(line []byte) (text []byte, partial bool) {
	if r.json {
		var m struct {
			Message *string `json:"@message"`
			Partial bool    `json:"partial"`
		}
		if json.Unmarshal(line, &m) != nil || m.Message == nil {
			return line, false
		}
		return []byte(*m.Message), m.Partial
	}
	text = line[r.body:]
	const mark = "…"
	if len(text) > lines.Max-utf8.UTFMax && bytes.HasSuffix(text, []byte(mark)) {
		return text[:len(text)-len(mark)], true
	}
	return text, false
}

// add adds an instance.
func (p *parser) add(t *target) {
	if t.isBare() {
		p.bare = t
		return
	}
	text := string(termtext.AppendText(nil, []byte(t.Name)))
	inJSON := string(termtext.AppendJSON(nil, []byte(t.Name)))
	p.byText[text], p.byJSON[inJSON] = printer{target: t}, printer{target: t}
	for _, hook := range retain.HookNames[1:] {
		from := printer{t, hook}
		p.byText[text+" "+hook] = from
		p.byJSON[inJSON+`","hook":"`+hook] = from
	}
}
