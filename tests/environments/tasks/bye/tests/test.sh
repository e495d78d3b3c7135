#!/bin/bash
# A verifier that writes no reward where there is nothing to judge.
if [ -e /app/bye.txt ]; then echo 0.5 > /logs/verifier/reward.txt; fi
