package main

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// The parts of SPDX 2.3 (ISO/IEC 5962) that say which modules a program is made of.
type (
	spdx struct {
		Version      string         `json:"spdxVersion"`
		License      string         `json:"dataLicense"`
		ID           string         `json:"SPDXID"`
		Name         string         `json:"name"`
		Namespace    string         `json:"documentNamespace"`
		Creation     spdxCreation   `json:"creationInfo"`
		Packages     []spdxPackage  `json:"packages"`
		Relationship []spdxRelation `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		ID       string    `json:"SPDXID"`
		Name     string    `json:"name"`
		Version  string    `json:"versionInfo"`
		Location string    `json:"downloadLocation"`
		Analyzed bool      `json:"filesAnalyzed"`
		Refs     []spdxRef `json:"externalRefs"`
	}
	spdxRef struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelation struct {
		Element string `json:"spdxElementId"`
		Type    string `json:"relationshipType"`
		Related string `json:"relatedSpdxElement"`
	}
)

var notOfAnID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// sbom writes which modules a program is made of, as Go has noted it in the program.
func (r *release) sbom(program, to string) error {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return err
	}
	name := filepath.Base(program)
	pkg := func(path, version string) spdxPackage {
		return spdxPackage{
			ID: "SPDXRef-" + notOfAnID.ReplaceAllString(path, "-"), Name: path, Version: version, Location: "NOASSERTION",
			Refs: []spdxRef{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + path + "@" + version}},
		}
	}
	doc := spdx{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: name + "-" + r.version,
		Namespace: "https://github.com/fairlead-lb/fairlead/releases/" + r.version + "/" + strings.TrimSuffix(filepath.Base(to), ".spdx.json"),
		// The time is that of no clock: two builds of a commit are the same.
		Creation: spdxCreation{Created: "1970-01-01T00:00:00Z", Creators: []string{"Tool: fairlead-release"}},
	}
	main := pkg(info.Main.Path, r.version)
	doc.Packages = append(doc.Packages, main, pkg("stdlib", strings.TrimPrefix(info.GoVersion, "go")))
	doc.Relationship = append(doc.Relationship, spdxRelation{doc.ID, "DESCRIBES", main.ID})
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		doc.Packages = append(doc.Packages, pkg(d.Path, d.Version))
	}
	for _, p := range doc.Packages[1:] {
		doc.Relationship = append(doc.Relationship, spdxRelation{main.ID, "DEPENDS_ON", p.ID})
	}
	text, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(to, append(text, '\n'), 0o644)
}
