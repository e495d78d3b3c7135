"""What rollouts leave behind: taken out of answers, kept in files, handed out again."""
