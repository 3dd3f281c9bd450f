# gnuplot -e "data='FILE'; picture='FILE'" plot.gp
# Draws one bar per line of data: label, how many times over an aim is reached.
set terminal pngcairo noenhanced size 1000,460 font 'DejaVu Sans,10' background '#ffffff'
set output picture
set datafile separator '\t'

set title 'Aims of stores, and how many times over they are reached (longer is better)'
set yrange [] reverse
set offsets 0, 0, 0.6, 0.6
set logscale x
set xrange [0.1:100]
set xlabel 'figure / aim, or aim / figure where less is better'
set grid xtics linecolor '#dddddd'
set border 3
set tics nomirror out
set ytics scale 0
unset key
set rmargin 8
set arrow from 1, graph 0 to 1, graph 1 nohead linewidth 2 linecolor '#444444' back

height = 0.35
plot data using 2:0:(0.1):2:($0 - height):($0 + height):ytic(1) \
		with boxxyerror fillstyle transparent solid 0.85 linecolor '#3b6ea8', \
	data using 2:0:(sprintf('%.2f', $2)) with labels left offset 0.6, 0 textcolor '#222222'
