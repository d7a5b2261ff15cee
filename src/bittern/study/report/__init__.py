"""The report on what the instruments saw."""

from bittern.study.report.page import Report as Report
