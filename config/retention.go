package config

// Retention says for how many days what nobody needs any more is kept; 0 takes the default.
type Retention struct {
	StreamDays       int `key:"stream_days"`
	TransactionsDays int `key:"transactions_days"`
	ToDeviceDays     int `key:"to_device_days"`
}

func (c *Config) checkRetention(say sayer) {
	r := c.Retention
	if r.StreamDays < 0 || r.TransactionsDays < 0 || r.ToDeviceDays < 0 {
		say("retention: a number of days cannot be negative.")
	}
}
