"""The suites of ``ringwalk conform`` beside the card's: miniports, and schedules."""
