"""The names of columns, as exporters and websites write them in their languages."""

from __future__ import annotations

from typing import Final

# names of dates that may be of other things than bars (a download, a listing): times where no other column holds them
DATES_TOO: Final = (
    "startdate eventdate pricedate quotedate displaydate businessdate asofdate sessiondate tradingday navdate valuedate "
    "dateutc timestampms opentimems candletime klinetime handelstag börsentag kursdatum datapregão datadopregão "
    "交易日期 交易日 取引日 データ日付 年月日 거래일 거래일자"
)
# role -> names without case, spaces and signs, the likeliest first
ALIASES: Final = {
    "timestamp": (
        "candledatetimeutc timestamp datetime date time opentime startofbar datetimeutc timestamputc unix "
        "unixtimestamp unixtime epoch ts datadate tradedate tradingdate gmttime utctime utc dt starttime bartime "
        "periodstart localtime windowstart tsevent mts timeperiod timeperiodstart startat startedat opentimestamp starttimestamp start begin fromdate "
        "dlycaldt tradedt bizdt observationdate snappedat dtyyyymmdd exchangedate exchangetime 日期 时间 時間 日付 日時 일자 날짜 дата "
        "время datum zeit fecha tarih t day index data dato päivämäärä ημερομηνία ngày tanggal 日付け "
        f"{DATES_TOO}"
    ),
    "symbol": "symbol ticker tickers tic code instrument instrumentname tscode pair asset sid sym stockid tckrsymb stock security 股票代码 代码 証券コード 銘柄コード 종목코드 тикер",
    "name": "ric isin cusip sedol figi permno gvkey name",  # of a table without symbols
    "currency": (
        "currency ccy quotecurrency pricecurrency tradingcurrency currencycode quoteccy priceccy tradingccy tradecurrency "
        "listingcurrency pxcurrency curcdd curcd isocur crncy devise währung moneda valuta valuutta waluta валюта 货币 币种 通貨 통화"
    ),
    "open": (
        "open o mido midopen openprice priceopen 1open adjopen firsttrade pxopen openprc prcod dlyopen opnpric adjustmentopen openingprice opening 开盘 开盘价 開盤 "
        "開盤價 始値 시가 eröffn eröffnung erster ouverture ouv apertura abertura otwarcie kursotwarcia öppen öppning öppningskurs "
        "açılış открытие откр åbning åbningskurs åben åpning åpningskurs avaus avauskurssi otevření nyitó nyitóár άνοιγμα "
        "mở mởcửa giámởcửa deschidere відкриття відкр pembukaan op"
    ),
    "high": (
        "high h dayhigh midh midhigh highprice max 2high adjhigh pxhigh pricehigh askhi prchd dlyhigh hghpric adjustmenthigh 最高 最高价 最高價 高値 고가 hoch tageshoch plushaut "
        "haut máximo máxima massimo hoog najwyższy kursmax högst högsta yüksek максимум макс high1 highest highestprice maximum højeste højest "
        "høyeste ylin korkein nejvyšší legmagasabb υψηλό μέγιστο cao caonhất giácaonhất maxim tertinggi 高 hi"
    ),
    "low": (
        "low l daylow midl midlow lowprice min 3low adjlow pxlow pricelow bidlo prcld dlylow lwpric adjustmentlow 最低 最低价 最低價 安値 저가 tief tagestief plusbas bas "
        "mínimo mínima minimo laag najniższy kursmin lägst lägsta düşük минимум мин low1 lowest lowestprice minimum laveste lavest alin "
        "matalin nejnižší legalacsonyabb χαμηλό ελάχιστο thấp thấpnhất giáthấpnhất minim мінімум мін terendah 低 lo"
    ),
    "close": (
        "close c midc midclose closeprice closelast last lastprice latest price 4close settle settlement settlementprice pxlast priceclose prc prccd dlyclose dlyprc clspric tradeprice "
        "closingprice 收盘 收盘价 收盤 收盤價 終値 종가 zuletzt schluss schlusskurs clôture clot dernier fermeture cierre último "
        "ultimo fechamento chiusura slot slotkoers zamknięcie zamkniecie kurszamknięcia stängning stängningskurs senast kapanış "
        "şimdi закрытие цена trdprc1 laatste lukkekurs seneste sluttkurs siste senaste ostatnio päätös päätöskurssi viimeisin zavření "
        "uzavření záró záróár κλείσιμο τελευταία đóng đóngcửa giáđóngcửa lầncuối închidere закриття penutupan terakhir cl "
        "netassetvalue navpershare navperunit valeurliquidative valorliquidativo anteilwert inventarwert nettoinventarwert"
    ),
    "adjclose": "adjclose adjustedclose closeadj 5adjustedclose adjusted adjustmentclose",
    "volume": (
        "volume vol v realvolume volumetraded totalvolume 5volume 6volume volumefrom tickvol tottrdqty ttltrdqnty totaltradedquantity "
        "tradedquantity ttltradgvol dlyvol noofshares numberofshares sharestraded tradingvolume tradevolume pxvolume cshtrd 成交量 成交股數 "
        "出来高 売買高 거래량 volumen umsatzstück wolumen volym hacim hac объем acvoluns acvol1 acvol mængde volum volyymi wol objem όγκος "
        "kl khốilượng khốilượnggiaodịch обсяг 交易量 vo"
    ),
    "quote_volume": (
        "quotevolume quoteassetvolume volumequote volumeto turnoverusd dollarvolume candleacctradeprice quotevol volquote "
        "volccyquote usdvolume foreignnotional volumefinanceiro volumefin volfin financialvolume"
    ),
    "turnover": (  # a proof of the volume
        "amount turnover totalturnover money tradedvalue tradevalue totaltradedvalue tottrdval ttltrfval turnovervalue obrót value umsatz 成交额 成交金额 成交金額 "
        "売買代金 거래대금 omsætning omsetning omsättning vaihto forgalom τζίρος giátrịgiaodịch"
    ),
    "base_volume": (
        "basevolume baseassetvolume volumebase candleacctradevolume stuecke stücke basevol basetokenvolume homenotional volccy"
    ),
    "quantity": "quantity qty quantidade cantidad quantité menge ilość",  # a proof that the volume is money
    "dividend": (
        "dividend dividends divcash exdividend cashdividend dividendpershare dividendspershare dividendamount "
        "7dividendamount div dps distribution distributions capitalgainsdividend divamt divd dvd cashdividends dividendcash "
        "divamount dividendamt grossdividend dividendspaid dividendpaid exdividendamount cashamount dvps dividendshare "
        "dlyorddivamt distributionamount distributionperunit distributionsperunit distributionpershare dividende dividenden ausschüttung dividendo dividendos "
        "dividendi utdelning udbytte utbytte osinko dywidenda temettü дивиденд дивиденды 配当 配当金 分红 现金分红 股息 股利 배당금"
    ),
    "split": "split splits stocksplits stocksplit splitratio stocksplitratio splitfactor splitcoefficient 8splitcoefficient",
    "factor": "factor adjfactor cfacpr dlycumfacpr ajexdi",
    "gains": "capitalgains",
    "period": "per period",
    "zone": (  # of the times beside it
        "timezone tz tzname timezonename exchangetimezonename exchangetimezone exchangetz gmtoffset utcoffset tzoffset "
        "timezoneoffset"
    ),
}
# of them, the short words that are tickers as well: they count beside others of a bar
TICKERS_TOO: Final = frozenset(("op", "hi", "lo", "cl", "vo", "cao", "kl", "mo", "maxim"))
