package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxReportSize is the size in bytes above which a report is not read.
const maxReportSize = 128 << 20

// jsonElement starts the element of the page that has the document.
const jsonElement = `<script type="application/json" id="report">`

// errTooLarge is about a file that no supervisor wrote: a document has a bounded number of entries.
var errTooLarge = fmt.Errorf("larger than %d MiB", maxReportSize>>20)

// Read reads a document in either form: JSON, or a page.
func Read(r io.Reader) (*Document, error) {
	if f, ok := r.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Size() > maxReportSize {
			return nil, errTooLarge
		}
	}
	b, err := io.ReadAll(io.LimitReader(r, maxReportSize+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxReportSize {
		return nil, errTooLarge
	}
	if _, rest, ok := bytes.Cut(b, []byte(jsonElement)); ok {
		b, _, _ = bytes.Cut(rest, []byte("</script>"))
	}
	var head struct {
		Schema   *int
		Children *json.RawMessage
	}
	if err := json.Unmarshal(b, &head); err != nil {
		if isTruncated(b) {
			return nil, errors.New("no report of a stop, or a truncated one: it ends too early")
		}
		return nil, fmt.Errorf("no report of a stop: %w", err)
	}
	switch {
	case head.Schema == nil || *head.Schema < 1:
		return nil, errors.New("no report of a stop: it has no schema")
	case *head.Schema > Schema:
		return nil, fmt.Errorf(
			"written by a newer supervisor: it has schema %d, and this one reads %d",
			*head.Schema, Schema,
		)
	case head.Children == nil:
		return nil, errors.New("no report of a stop: it has no children")
	}
	var d Document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("no report of a stop: %w", err)
	}
	d.complete()
	return &d, nil
}

// isTruncated reports whether b is the beginning of a JSON value.
func isTruncated(b []byte) bool {
	var v json.RawMessage
	return errors.Is(json.NewDecoder(bytes.NewReader(b)).Decode(&v), io.ErrUnexpectedEOF)
}

// complete computes the keys that documents of older supervisors do not have.
func (d *Document) complete() {
	if d.Stop == (Counts{}) {
		d.Stop = count(d)
	}
	if d.Findings != nil {
		return
	}
	d.Findings = []Finding{}
	for i := range d.Children {
		d.Children[i].Why = d.Children[i].explain(d.Elapsed)
	}
}
