package config

import "strings"

// Ledger says how it is recorded what leaves and who reads what.
type Ledger struct {
	Key           string        `key:"key"`
	Strict        bool          `key:"strict"`
	Reads         bool          `key:"reads"`
	RetentionDays int           `key:"retention_days"`
	Territory     []string      `key:"territory"`
	Witnesses     []string      `key:"witnesses"`
	Stores        []LedgerStore `key:"stores"`
}

// LedgerStore is a place where this server keeps things, as its operator declares it.
type LedgerStore struct {
	Name     string   `key:"name"`
	Holds    []string `key:"holds"`
	Site     string   `key:"site"`
	Operator string   `key:"operator"`
	Country  string   `key:"country"`
}

func (c *Config) checkLedger(say sayer) {
	if c.Ledger.RetentionDays < 0 {
		say("ledger.retention_days: a number of days cannot be negative.")
	}
	for i, cc := range c.Ledger.Territory {
		if len(cc) != 2 || strings.ToUpper(cc) != cc {
			say("ledger.territory[%d]: %q is no code of a country; one looks like FR.", i, cc)
		}
	}
	for i, s := range c.Ledger.Stores {
		if s.Name == "" || len(s.Holds) == 0 {
			say("ledger.stores[%d]: needs name, and in holds what is kept there, such as rooms, files or all.", i)
		}
	}
}
