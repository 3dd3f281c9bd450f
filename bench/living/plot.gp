# Debt over time: gnuplot -e "csv='...'; out='...'" plot.gp
set terminal pngcairo size 900, 700
set output out
set datafile separator ','
set key autotitle columnhead
set multiplot layout 2, 1
set xlabel 'seconds'
set ylabel 'MB, thousand rows'
plot csv using 1:($2 / 1048576) with lines title 'delta, MB', '' using 1:($3 / 1000) with lines title 'live rows of the delta, thousands', \
	'' using 1:($4 / 1000) with lines title 'dead rows, thousands'
set ylabel 'runs'
plot csv using 1:5 with lines title 'WAL runs', '' using 1:6 with lines title 'buffer runs', '' using 1:7 with lines title 'runs of levels'
unset multiplot
