package territory

// KnownOperators is the list that comes with this server. A policy may change or replace it. known.tsv says for each network to whom it was registered
// by a dated source, and what a person has to confirm.
//
// Why nobody is Qualified: a qualification is one offer's, not a network's. Pins and lists of one's own may say so.
func KnownOperators() []Operator {
	return []Operator{
		{"RENATER", National, []uint32{2200}},
		{"OVHcloud", National, []uint32{16276, 35540}},
		{"Scaleway", National, []uint32{12876, 29447}},
		{"Orange", National, []uint32{3215, 5511}},
		{"Free", National, []uint32{12322, 51207}},
		{"SFR", National, []uint32{15557}},
		{"Bouygues Telecom", National, []uint32{5410}},
		{"3DS Outscale", National, []uint32{50624, 56343}},
		{"OPT Nouvelle-Calédonie", National, []uint32{18200}},
		{"Hetzner", European, []uint32{24940, 213230}},
		{"IONOS", European, []uint32{8560}},
		{"Amazon", Extraterritorial, []uint32{16509, 14618, 8987}},
		{"Microsoft", Extraterritorial, []uint32{8075, 8068, 8069}},
		{"Google", Extraterritorial, []uint32{15169, 396982, 36040, 19527}},
		{"Cloudflare", Extraterritorial, []uint32{13335, 209242}},
		{"Akamai", Extraterritorial, []uint32{20940, 16625, 63949}},
		{"Fastly", Extraterritorial, []uint32{54113}},
		{"Oracle", Extraterritorial, []uint32{31898}},
		{"IBM", Extraterritorial, []uint32{36351}},
		{"DigitalOcean", Extraterritorial, []uint32{14061}},
		{"Vultr", Extraterritorial, []uint32{20473}},
		{"Meta", Extraterritorial, []uint32{32934}},
		{"Apple", Extraterritorial, []uint32{714, 6185}},
		{"Lumen", Extraterritorial, []uint32{3356, 3549}},
		{"Cogent", Extraterritorial, []uint32{174}},
		{"Zayo", Extraterritorial, []uint32{6461, 8218}},
		{"Alibaba", Extraterritorial, []uint32{45102, 37963}},
		{"Tencent", Extraterritorial, []uint32{132203, 45090}},
		{"Huawei Cloud", Extraterritorial, []uint32{136907}},
	}
}
