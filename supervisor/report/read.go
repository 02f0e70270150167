package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxReportSize is the size in bytes above which a report is not read.
const maxReportSize = 128 << 20

// jsonElement starts the element of the page that has the document.
const jsonElement = `<script type="application/json" id="report">`

// Read reads a document in either form: JSON, or a page.
func Read(r io.Reader) (*Document, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxReportSize+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxReportSize {
		return nil, fmt.Errorf("larger than %d MiB", maxReportSize>>20)
	}
	if _, rest, ok := bytes.Cut(b, []byte(jsonElement)); ok {
		b, _, _ = bytes.Cut(rest, []byte("</script>"))
	}
	var head struct{ Schema *int }
	if err := json.Unmarshal(b, &head); err != nil {
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
	}
	var d Document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("no report of a stop: %w", err)
	}
	d.complete()
	return &d, nil
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
