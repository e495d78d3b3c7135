#!/bin/bash
echo bye > /app/bye.txt
