"""For those who keep the course or teach it: grading, the site, this machine's check-up, the real pictures."""
